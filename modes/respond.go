package modes

import (
	"encoding/json"
	"net/http"
	"slices"
	"strconv"
	"time"

	"github.com/watchdogd/watchdogd/internal/call"
	"github.com/watchdogd/watchdogd/internal/failure"
)

// Respond answers a call that failed before the head of its response was sent: the
// table below turns the kind of the *failure.Error in err's chain into a status, and
// the body is an RFC 9457 problem. A caller who has gone gets nothing. Causes are
// for the log and are never written. A browser gets the same as a page. A call of gRPC gets a
// status of gRPC instead.
func Respond(w http.ResponseWriter, r *http.Request, err error) {
	f := failure.Of(err)
	c := call.From(r.Context())
	c.Fail(f)
	if f.Kind == failure.Gone {
		return
	}
	if isGRPC(r) {
		respondGRPC(w, f)
		return
	}
	answer := answerTo(f.Kind)
	detail := f.Detail
	if f.Local != "" && c.Local() {
		detail += ": " + f.Local
	}
	p := problem{
		Type:       problemTypes + answer.name,
		Title:      answer.title,
		Status:     answer.status,
		Detail:     detail,
		Route:      f.Route,
		State:      f.State,
		LastExit:   f.LastExit,
		LastExitAt: f.LastExitAt,
		NextStart:  f.NextStart,
		Timeout:    f.Timeout,
	}
	h := w.Header()
	for _, name := range ofAnotherBody {
		delete(h, name)
	}
	if !slices.Contains(h["Vary"], "Accept") {
		h.Add("Vary", "Accept")
	}
	body := writeBody(h, r, f, &p)
	h.Set("Content-Length", strconv.Itoa(len(body)))
	if f.Allow != "" {
		h.Set("Allow", f.Allow)
	}
	if f.Challenge != "" {
		h.Set("Www-Authenticate", f.Challenge)
	}
	if answer.retry {
		h.Set("Retry-After", retryAfter(f, time.Now()))
	}
	w.WriteHeader(answer.status)
	_, _ = w.Write(body) // a caller who does not take it has gone
}

// writeBody returns the body of a problem in the form that r asks for, whose fields it sets in h: a
// page for a browser, else JSON.
func writeBody(h http.Header, r *http.Request, f *failure.Error, p *problem) []byte {
	if wantsPage(r.Header) {
		wait := ""
		if comesSoon(r, f) {
			wait = retryAfter(f, time.Now())
		}
		h.Set("Content-Type", "text/html; charset=utf-8")
		h.Set("Content-Security-Policy", pagePolicy)
		h.Set("Cache-Control", "no-store")
		return pageOf(p, wait)
	}
	body, _ := json.Marshal(p) // strings and numbers: it cannot fail
	h.Set("Content-Type", "application/problem+json")
	return append(body, '\n')
}

// answer is what one kind of failure looks like on the wire.
type answer struct {
	status int
	name   string // the last part of the problem's type
	title  string
	retry  bool // Retry-After is sent
}

// answers is the one table from what happened to what the caller is told.
var answers = [...]answer{
	failure.Internal:        {status: 500, name: "internal", title: "Internal error"},
	failure.Malformed:       {status: 400, name: "malformed", title: "Malformed request"},
	failure.Unauthorized:    {status: 401, name: "unauthorized", title: "Not authenticated"},
	failure.Forbidden:       {status: 403, name: "forbidden", title: "Not allowed"},
	failure.NoRoute:         {status: 404, name: "no-route", title: "No such route"},
	failure.NotFound:        {status: 404, name: "not-found", title: "Not found"},
	failure.Method:          {status: 405, name: "method", title: "Method not allowed"},
	failure.SlowBody:        {status: 408, name: "slow-body", title: "Request body too slow"},
	failure.BodyTooLarge:    {status: 413, name: "body-too-large", title: "Request body too large"},
	failure.RateLimited:     {status: 429, name: "rate-limited", title: "Too many requests", retry: true},
	failure.Full:            {status: 429, name: "full", title: "Too many calls at once", retry: true},
	failure.HeaderTooLarge:  {status: 431, name: "header-too-large", title: "Request header too large"},
	failure.StartFailed:     {status: 500, name: "start-failed", title: "Process could not be started"},
	failure.ExitFailed:      {status: 500, name: "exit-failed", title: "Process failed"},
	failure.BadUpstream:     {status: 502, name: "bad-upstream", title: "Bad upstream"},
	failure.ResponseTooBig:  {status: 502, name: "response-too-big", title: "Response too large"},
	failure.NotReady:        {status: 503, name: "not-ready", title: "Not ready", retry: true},
	failure.QueueTimeout:    {status: 503, name: "queue-timeout", title: "Waited too long in the queue", retry: true},
	failure.CrashLoop:       {status: 503, name: "crash-loop", title: "Crash loop", retry: true},
	failure.Draining:        {status: 503, name: "draining", title: "Shutting down", retry: true},
	failure.AuthUnavailable: {status: 503, name: "auth-unavailable", title: "Authentication not available", retry: true},
	failure.NoRoom:          {status: 507, name: "no-room", title: "No room for a temporary file"},
	failure.Timeout:         {status: 504, name: "timeout", title: "Timed out"},
}

// answerTo returns the row of kind; one that has none is a bug of ours.
func answerTo(kind failure.Kind) answer {
	if int(kind) >= len(answers) || answers[kind].status == 0 {
		return answers[failure.Internal]
	}
	return answers[kind]
}

// problemTypes begins the type of each problem: the page that explains them all.
const problemTypes = "https://github.com/watchdogd/watchdogd/blob/main/docs/errors.md#"

// problem is the body of a failure: RFC 9457 and our own members.
type problem struct {
	Type       string    `json:"type"`
	Title      string    `json:"title"`
	Status     int       `json:"status"`
	Detail     string    `json:"detail,omitempty"`
	Route      string    `json:"route,omitempty"`
	State      string    `json:"state,omitempty"`
	LastExit   string    `json:"last_exit,omitempty"`
	LastExitAt time.Time `json:"last_exit_at,omitzero"`
	NextStart  time.Time `json:"next_start,omitzero"`
	Timeout    string    `json:"timeout,omitempty"`
}

// ofAnotherBody are the headers that a mode may have set for a body that is not
// sent now.
var ofAnotherBody = []string{
	"Accept-Ranges", "Cache-Control", "Content-Disposition", "Content-Encoding", "Content-Language",
	"Content-Range", "Etag", "Expires", "Last-Modified", "Trailer", "Transfer-Encoding",
}

// retryAfter is when to come again, in whole seconds and at least one: as the
// failure says, else when the next start is due.
func retryAfter(f *failure.Error, now time.Time) string {
	wait := f.RetryAfter
	if wait <= 0 && !f.NextStart.IsZero() {
		wait = f.NextStart.Sub(now)
	}
	seconds := max(1, int64((wait+time.Second-1)/time.Second))
	return strconv.FormatInt(seconds, 10)
}
