package trace

import (
	"cmp"
	"strconv"
	"strings"
	"time"
)

// Spans is what is recorded of one call. A nil Spans records nothing. Its methods are called
// by the call's own goroutines, one after another.
type Spans struct {
	tracer *Tracer
	trace  string
	parent string // the span that the call is part of; empty is none
	state  string // tracestate
	own    string // the call's span
	next   string // the span of its upstream or process, which the traceparent that is passed on names

	answering time.Time // when that began; zero is not yet
	inner     []span
	call      span
}

// span is one span, complete but for what all of a call have in common.
type span struct {
	id, parent   string
	name         string
	kind         int
	began, ended time.Time
	attributes   []attribute
	failed       string // why it failed; empty is not
}

type attribute struct {
	key    string
	text   string
	number bool
	n      int64
}

// The kinds of spans, as OTLP numbers them.
const (
	kindInternal = 1
	kindServer   = 2
	kindClient   = 3
)

// Begin begins the spans of a call in a trace. parent is what its traceparent said; own says
// that it had none. It returns nil for a call that is not sampled.
func (t *Tracer) Begin(parent Parent, own bool, state []string) *Spans {
	if t == nil || !t.sampler.samples(parent, own) {
		return nil
	}
	var ids [2 * spanDigits]byte
	b := AppendID(AppendID(ids[:0], spanDigits/2), spanDigits/2)
	both := string(b)
	return &Spans{tracer: t, trace: strings.Clone(parent.Trace), parent: strings.Clone(parent.Span), state: clip(strings.Join(state, ",")),
		own: both[:spanDigits], next: both[spanDigits:]}
}

// Next is the span that what answers the call is told as its parent.
func (s *Spans) Next() string { return s.next }

// leastSpan is how long what has a span of its own took.
const leastSpan = 100 * time.Microsecond

// Add adds a span for something that the call had to wait for, unless that was next to nothing.
func (s *Spans) Add(name string, began, ended time.Time) {
	const most = 32 // of a call
	if s == nil || ended.Sub(began) < leastSpan || len(s.inner) >= most {
		return
	}
	var id [spanDigits]byte
	s.inner = append(s.inner, span{id: string(AppendID(id[:0], spanDigits/2)), parent: s.own, name: name, kind: kindInternal, began: began, ended: ended})
}

// Answering notes that an upstream or a process has the call from now on. The first time counts.
func (s *Spans) Answering() {
	if s != nil && s.answering.IsZero() {
		s.answering = time.Now()
	}
}

// Call is what is known of a call at its end.
type Call struct {
	Began, Ended     time.Time
	Method, Path     string // as they were sent
	Scheme, Host     string
	Protocol, Client string
	Route            string // its name; empty without one
	Prefix           string // its path
	Mode             string
	Instance         string
	ID               string // X-Request-Id
	Status           int
	Failed           string // why; empty is not
	Upstream         bool   // it was answered by a server, and not by a process of its own
}

// End ends the spans of a call, and leaves them to the tracer.
func (s *Spans) End(c Call) {
	if s == nil {
		return
	}
	method := c.Method
	switch method {
	case "GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "CONNECT", "TRACE":
	default:
		method = "HTTP"
	}
	s.call = span{id: s.own, parent: s.parent, name: strings.TrimSuffix(method+" "+c.Prefix, " "), kind: kindServer, began: c.Began, ended: c.Ended}
	s.call.text("http.request.method", c.Method)
	s.call.text("url.path", c.Path)
	s.call.text("url.scheme", c.Scheme)
	s.call.text("server.address", c.Host)
	s.call.text("client.address", c.Client)
	s.call.text("network.protocol.version", strings.TrimPrefix(c.Protocol, "HTTP/"))
	s.call.text("http.route", c.Prefix)
	s.call.text("watchdogd.route", c.Route)
	s.call.text("watchdogd.mode", c.Mode)
	s.call.text("watchdogd.request_id", c.ID)
	s.call.number("http.response.status_code", int64(c.Status))
	if c.Failed != "" || c.Status >= 500 {
		s.call.failed = clip(cmp.Or(c.Failed, "status "+strconv.Itoa(c.Status)))
		s.call.text("error.type", strconv.Itoa(c.Status))
	}
	if !s.answering.IsZero() {
		inner := span{id: s.next, parent: s.own, name: "process", kind: kindInternal, began: s.answering, ended: c.Ended, failed: s.call.failed}
		if c.Upstream {
			inner.name, inner.kind = "upstream", kindClient
			inner.text("http.request.method", c.Method)
			inner.number("http.response.status_code", int64(c.Status))
		}
		inner.text("watchdogd.instance", c.Instance)
		s.inner = append(s.inner, inner)
	}
	s.tracer.take(s)
}

func (s *span) text(key, value string) {
	if value != "" {
		s.attributes = append(s.attributes, attribute{key: key, text: clip(value)})
	}
}

func (s *span) number(key string, n int64) {
	s.attributes = append(s.attributes, attribute{key: key, number: true, n: n})
}

// clip is text that may be kept: not too long, and in memory of its own.
func clip(text string) string {
	const most = 1024
	return strings.ToValidUTF8(strings.Clone(text[:min(len(text), most)]), "\uFFFD")
}
