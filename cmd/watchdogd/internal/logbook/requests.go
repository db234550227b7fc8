package logbook

import (
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/watchdogd/watchdogd/routes"
	"github.com/watchdogd/watchdogd/supervisor/child"
)

// Requests keeps the last requests, for logs --requests. A request costs no memory that the
// former ones did not have.
type Requests struct {
	mu      sync.Mutex
	all     []request // behind the last place comes the first
	next    int       // where the next one goes, when all are taken
	readers map[*child.Follower][]string
}

// request is one request, in memory that is used again.
type request struct {
	at     time.Time
	route  string
	status int
	took   time.Duration
	cut    bool
	what   []byte // the method and the path, as far as they are kept
	failed []byte
}

// RequestStream is the stream of the line of a request.
const RequestStream = "request"

const (
	mostRequests = child.MostLines
	mostOfPath   = 256 // bytes that are kept of a path, and of an error
)

// add keeps a request.
func (r *Requests) add(l *routes.Line) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.all) < mostRequests {
		r.all = append(r.all, request{})
		r.next = len(r.all) - 1
	}
	q := &r.all[r.next]
	r.next = (r.next + 1) % mostRequests
	q.at, q.route, q.status, q.took, q.cut = l.Time, l.Route, l.Status, l.Took, l.Cut
	q.what, q.failed = q.what[:0], q.failed[:0]
	if l.Method != "" {
		q.what = append(append(q.what, clip(l.Method)...), ' ')
		q.what = append(q.what, clip(l.Path)...)
	}
	if l.Failed != nil {
		q.failed = append(q.failed, clip(whatFailed(l.Status, l.Failed))...)
	}
	for f, names := range r.readers {
		if q.of(names) {
			f.Put(q.line())
		}
	}
}

func clip(s string) string { return s[:min(len(s), mostOfPath)] }

// of reports whether the request went to one of names; no names are all.
func (q *request) of(names []string) bool { return len(names) == 0 || slices.Contains(names, q.route) }

// line is the request among the lines of processes.
func (q *request) line() child.Line {
	text, _ := inShort(string(q.what), q.status, q.took, q.cut, string(q.failed))
	name := q.route
	if name == "" {
		name = ourName
	}
	return child.Line{Time: q.at, Name: name, Instance: -1, Stream: RequestStream, Text: text}
}

// Failing returns the last request to a route, if its status is 500 or more.
func (r *Requests) Failing(route string) (line child.Line, failing bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for i := range r.all {
		q := &r.all[(r.next+len(r.all)-1-i)%len(r.all)]
		if q.route == route {
			return q.line(), q.status >= http.StatusInternalServerError
		}
	}
	return child.Line{}, false
}

// Of returns the requests to the routes called names, to all routes when there is no name.
func (r *Requests) Of(names []string) child.Source { return &requestsOf{r, names} }

// requestsOf is a child.Source.
type requestsOf struct {
	all   *Requests
	names []string
}

// Lines implements child.Source.
func (o *requestsOf) Lines() []child.Line {
	o.all.mu.Lock()
	defer o.all.mu.Unlock()
	return o.lines()
}

// lines is Lines, with the lock held; they are sorted by who wants them.
func (o *requestsOf) lines() (lines []child.Line) {
	for i := range o.all.all {
		if q := &o.all.all[i]; q.of(o.names) {
			lines = append(lines, q.line())
		}
	}
	return lines
}

// Follow implements child.Source.
func (o *requestsOf) Follow(f *child.Follower) []child.Line {
	o.all.mu.Lock()
	defer o.all.mu.Unlock()
	if o.all.readers == nil {
		o.all.readers = map[*child.Follower][]string{}
	}
	o.all.readers[f] = o.names
	return o.lines()
}

// Unfollow implements child.Source.
func (o *requestsOf) Unfollow(f *child.Follower) {
	o.all.mu.Lock()
	defer o.all.mu.Unlock()
	delete(o.all.readers, f)
}
