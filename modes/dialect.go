package modes

import (
	"net/http"
	"strconv"

	"github.com/watchdogd/watchdogd/internal/call"
	"github.com/watchdogd/watchdogd/internal/failure"
	"github.com/watchdogd/watchdogd/schema"
)

// Responder returns how the failed calls of route are answered in the form of
// server.errors; nil is the calls that no route took. openfaas and classic write what
// of-watchdog and the classic watchdog write, with the truth in the status: no failure is
// a 200.
func Responder(errors string, route *schema.Route) func(http.ResponseWriter, *http.Request, error) {
	if errors != "openfaas" && errors != "classic" {
		return Respond
	}
	d := &dialect{classic: errors == "classic"}
	if route != nil {
		d.mode, d.contentType = route.Mode, route.ContentType
		d.classic = d.classic && route.Forks()
	}
	return d.respond
}

// Untimed reports whether no response of route bears X-Duration-Seconds in the form of
// server.errors.
func Untimed(errors string, route *schema.Route) bool {
	t := route.Mode.Traits()
	switch errors {
	case "openfaas":
		return !t.Timed
	case "classic":
		return !t.Timed && !t.Forks
	}
	return false
}

// dialect is how one of the OpenFaaS watchdogs tells a failed call of one route.
type dialect struct {
	classic     bool
	mode        schema.Mode // empty without a route
	contentType string
}

// plainAnswer is what one kind of failure looks like there.
type plainAnswer struct {
	status   int
	body     func(d *dialect, f *failure.Error) (text string, printed []byte)
	typ      string // Content-Type; empty is none
	internal string // X-OpenFaaS-Internal
	timed    bool   // X-Duration-Seconds, where the route's responses bear it
}

// The values of X-OpenFaaS-Internal: who answers in the place of the function.
const (
	itself     = "of-watchdog"
	middleware = "faas-middleware"
)

// The type of a text, and two that are found out: by the look of it, and the route's.
const (
	plainText  = "text/plain; charset=utf-8"
	sniffed    = "sniffed"
	ofTheRoute = "of the route"
)

// respond is Respond in the dialect.
func (d *dialect) respond(w http.ResponseWriter, r *http.Request, err error) {
	f := failure.Of(err)
	c := call.From(r.Context())
	c.Fail(f)
	if f.Kind == failure.Gone {
		return
	}
	t := d.tell(f)
	var text string
	var printed []byte
	if t.body != nil {
		text, printed = t.body(d, f)
	}
	h := w.Header()
	for _, name := range ofAnotherBody {
		delete(h, name)
	}
	delete(h, "Content-Type")
	switch typ := t.typ; {
	case typ == ofTheRoute && d.contentType != "auto":
		h.Set("Content-Type", d.contentType)
	case typ == ofTheRoute, typ == sniffed:
		h.Set("Content-Type", http.DetectContentType(append([]byte(text), printed[:min(len(printed), 512)]...)))
	case typ != "":
		h.Set("Content-Type", typ)
		if typ == plainText {
			h.Set("X-Content-Type-Options", "nosniff")
		}
	}
	h.Set("Content-Length", strconv.Itoa(len(text)+len(printed)))
	if t.internal != "" {
		h.Set("X-Openfaas-Internal", t.internal)
	}
	if f.Allow != "" {
		h.Set("Allow", f.Allow)
	}
	if f.Challenge != "" {
		h.Set("Www-Authenticate", f.Challenge)
	}
	if !t.timed {
		c.SetUntimed()
	}
	w.WriteHeader(t.status)
	if text != "" {
		_, _ = w.Write([]byte(text)) // as in Respond
	}
	if len(printed) > 0 {
		_, _ = w.Write(printed)
	}
}

// tell finds the row of f: of the classic watchdog, of the route's mode, or of all.
func (d *dialect) tell(f *failure.Error) plainAnswer {
	if d.classic {
		if t, ok := toldByClassic[f.Kind]; ok {
			return t
		}
	}
	if f.Kind == failure.NotReady && f.Timeout == "queue" && d.mode != "" {
		f = &failure.Error{Kind: failure.Timeout} // the wait is bounded by exec_timeout there
	}
	if t, ok := toldByMode[d.mode][f.Kind]; ok {
		return t
	}
	if t, ok := toldByAll[f.Kind]; ok {
		return t
	}
	return toldByAll[failure.Internal]
}

// toldByAll is what is told of calls of every mode. What of-watchdog does not know is a
// short text.
var toldByAll = map[failure.Kind]plainAnswer{
	failure.Internal:        {status: 500, body: detail, typ: plainText, internal: itself},
	failure.Malformed:       {status: 400, body: detail, typ: plainText, internal: itself},
	failure.Unauthorized:    {status: 401, body: detail, typ: plainText, internal: middleware},
	failure.Forbidden:       {status: 403, body: detail, typ: plainText, internal: middleware},
	failure.NoRoute:         {status: 404, body: notFound, typ: plainText},
	failure.NotFound:        {status: 404, body: notFound, typ: plainText},
	failure.Method:          {status: 405},
	failure.SlowBody:        {status: 408, body: detail, typ: plainText, internal: itself},
	failure.BodyTooLarge:    {status: 413, body: detail, typ: plainText, internal: itself},
	failure.RateLimited:     {status: 429, body: detail, typ: "text/plain", internal: middleware},
	failure.Full:            {status: 429, body: detail, typ: "text/plain", internal: middleware},
	failure.HeaderTooLarge:  {status: 431, body: detail, typ: plainText, internal: itself},
	failure.StartFailed:     {status: 500, body: plain, typ: plainText, internal: itself},
	failure.ExitFailed:      {status: 500, body: plain, typ: plainText, internal: itself},
	failure.BadUpstream:     {status: 500, body: detail, typ: plainText, internal: itself},
	failure.ResponseTooBig:  {status: 500, body: detail, typ: plainText, internal: itself},
	failure.NotReady:        {status: 503, body: detail, typ: plainText, internal: itself},
	failure.QueueTimeout:    {status: 503, body: detail, typ: plainText, internal: itself},
	failure.CrashLoop:       {status: 503, body: detail, typ: plainText, internal: itself},
	failure.Draining:        {status: 503, body: detail, typ: plainText, internal: itself},
	failure.AuthUnavailable: {status: 503, body: detail, typ: plainText, internal: middleware},
	failure.NoRoom:          {status: 500, body: detail, typ: plainText, internal: itself}, // which their callers try again
	failure.Timeout:         {status: 504, body: detail, typ: plainText, internal: itself},
}

// toldByMode is what of-watchdog tells otherwise in one mode.
var toldByMode = map[schema.Mode]map[failure.Kind]plainAnswer{
	schema.HTTP: {
		failure.BadUpstream: {status: 500, internal: itself, timed: true},
		failure.Timeout:     {status: 504, internal: itself, timed: true},
		failure.NotReady:    {status: 500, internal: itself, timed: true},
		failure.CrashLoop:   {status: 500, internal: itself, timed: true},
		failure.Internal:    {status: 500, internal: itself, timed: true},
	},
	schema.Serializing: {
		failure.StartFailed:    {status: 500, body: plain, typ: ofTheRoute, timed: true},
		failure.ExitFailed:     {status: 500, body: plain, typ: ofTheRoute, timed: true},
		failure.BadUpstream:    {status: 500, body: plain, typ: ofTheRoute, timed: true},
		failure.ResponseTooBig: {status: 500, body: plain, typ: ofTheRoute, timed: true},
		failure.Timeout:        {status: 504, body: killed, typ: ofTheRoute, timed: true},
	},
	schema.Afterburn: {
		failure.BadUpstream: {status: 500, body: plain, typ: plainText, internal: itself},
		failure.NotReady:    {status: 500, body: plain, typ: plainText, internal: itself},
		failure.CrashLoop:   {status: 500, body: plain, typ: plainText, internal: itself},
	},
}

// toldByClassic is what the classic watchdog tells otherwise of its forked processes.
var toldByClassic = map[failure.Kind]plainAnswer{
	failure.StartFailed:    {status: 500, body: withOutput, typ: sniffed},
	failure.ExitFailed:     {status: 500, body: withOutput, typ: sniffed},
	failure.BadUpstream:    {status: 500, body: withOutput, typ: sniffed},
	failure.ResponseTooBig: {status: 500, body: withOutput, typ: sniffed},
	failure.Timeout:        {status: 408, body: killedProcess, typ: sniffed},
	failure.SlowBody:       {status: 400, body: detail, typ: sniffed},
	failure.Malformed:      {status: 400, body: detail, typ: sniffed},
}

func notFound(*dialect, *failure.Error) (string, []byte)      { return "404 page not found\n", nil }
func killed(*dialect, *failure.Error) (string, []byte)        { return "signal: killed", nil }
func killedProcess(*dialect, *failure.Error) (string, []byte) { return "Killed process.\n", nil }

// detail is the sentence for the caller.
func detail(_ *dialect, f *failure.Error) (string, []byte) { return f.Detail + "\n", nil }

// plain is the system's bare words, where there are any.
func plain(_ *dialect, f *failure.Error) (string, []byte) {
	if f.Plain != "" {
		return f.Plain, nil
	}
	return f.Detail, nil
}

func withOutput(d *dialect, f *failure.Error) (string, []byte) {
	text, _ := plain(d, f)
	return text + "\n", f.Output
}
