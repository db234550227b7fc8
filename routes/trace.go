package routes

import (
	"cmp"
	"strconv"
	"time"

	"github.com/watchdogd/watchdogd/internal/failure"
	"github.com/watchdogd/watchdogd/internal/http1"
	"github.com/watchdogd/watchdogd/internal/trace"
	"github.com/watchdogd/watchdogd/routes/origin"
	"github.com/watchdogd/watchdogd/schema"
)

// joinTrace gives the call its place in a trace: the one that the request is part of, by its
// traceparent, else a new one, whose id is the call's where that was made here or has the form of
// one. What answers the call gets the header with a span of ours as its parent. Where a new trace has no sampler to ask, it is sampled: programs that record
// what their parent does, which is the default, then do as they do without us.
//
// A tracestate belongs to its traceparent, and is dropped without a valid one.
func (s *serving) joinTrace(f *http1.Fields, made bool) {
	var one [2]string
	parent, joined := trace.Parse(f.Values(one[:0], "Traceparent"))
	if !joined {
		f.Delete("Tracestate")
		var id [32]byte
		if parent.Sampled, parent.Trace = true, s.ID; !made && !trace.ValidTrace(s.ID) {
			parent.Trace = s.ids.Keep(trace.AppendID(id[:0], 16))
		}
	}
	var room [64]byte
	var span [16]byte
	sampled := parent.Sampled
	if tracer := s.table.opt.Tracer; tracer != nil {
		s.Spans = tracer.Begin(parent, !joined, f.Values(nil, "Tracestate"))
		sampled = s.Spans != nil
	}
	next := span[:0]
	if s.Spans != nil {
		next = append(next, s.Spans.Next()...)
	} else {
		next = trace.AppendID(next, 8)
	}
	value := s.ids.Keep(trace.AppendParent(room[:0], parent.Trace, next, sampled))
	s.TraceID = trace.IDOf(value)
	f.Set("Traceparent", value)
}

// endSpans ends the spans of a call.
func (s *serving) endSpans(took time.Duration, status int, failed *failure.Error, cut bool) {
	r, rt := s.request, s.route
	c := trace.Call{Began: s.Began(), Ended: s.Began().Add(took), Method: r.Method, Path: s.SentPath, Scheme: "http", Host: hostname(r.Host), Protocol: r.Proto,
		Client: origin.Peer(r.RemoteAddr), Route: rt.name, Mode: string(rt.mode), Instance: s.Instance(), ID: s.ID, Status: status, Upstream: rt.mode == schema.HTTP}
	if r.TLS != nil {
		c.Scheme = "https"
	}
	if rt != s.table.none {
		c.Prefix = cmp.Or(rt.prefix, "/")
	}
	switch {
	case failed != nil && status >= 500:
		c.Failed = failed.Error()
	case cut && status != 499:
		c.Failed = "the response was cut, status " + strconv.Itoa(status)
	}
	s.Spans.End(c)
}
