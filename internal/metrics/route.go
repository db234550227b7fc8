package metrics

import (
	"fmt"
	"io"
	"strconv"
	"sync"
	"sync/atomic"
	"time"
)

// Route counts the calls of one route. Counting is an index and an addition.
type Route struct {
	name             string
	inflight, queued atomic.Int64
	rejected         [reasons]atomic.Uint64
	timeouts         [timeouts]atomic.Uint64
	wait             histogram

	calls [methods]atomic.Pointer[[]*calls]
	mu    sync.Mutex // held where a list of calls grows
}

// calls are those of one method and status. A method has few of them, so that a
// walk is the fastest way to the right one.
type calls struct {
	code     int
	duration histogram // whose count is that of the calls
}

// Begin counts a call that came. Each Begin is followed by one End.
func (r *Route) Begin() { r.inflight.Add(1) }

// End counts a call that is over: its method as it came, the status as it was
// sent, and how long it took.
func (r *Route) End(method string, code int, took time.Duration) {
	r.inflight.Add(-1)
	m := methodIndex(method)
	if list := r.calls[m].Load(); list != nil {
		for _, c := range *list {
			if c.code == code {
				c.duration.add(took)
				return
			}
		}
	}
	r.of(m, code).duration.add(took)
}

// of returns the calls of one method and status, and makes them if they are the first.
func (r *Route) of(m, code int) *calls {
	r.mu.Lock()
	defer r.mu.Unlock()
	var list []*calls
	if p := r.calls[m].Load(); p != nil {
		list = *p
	}
	for _, c := range list {
		if c.code == code {
			return c
		}
	}
	c := &calls{code: code}
	longer := append(list[:len(list):len(list)], c)
	r.calls[m].Store(&longer)
	return c
}

// Counts returns the calls under way, those of them that wait for a place, and all calls
// so far.
func (r *Route) Counts() (inflight, queued int, total uint64) {
	t := r.Totals()
	return t.Inflight, t.Queued, t.Calls
}

// Totals is what a Route has counted so far.
type Totals struct {
	Inflight, Queued int       // now
	Calls            uint64    // all so far, those under way too
	Errors           uint64    // those that ended with a status of 500 or more
	Took             Durations // of those that are over
}

// Totals returns what was counted so far.
func (r *Route) Totals() Totals {
	t := Totals{Inflight: int(max(r.inflight.Load(), 0)), Queued: int(max(r.queued.Load(), 0))}
	r.each(func(_ int, c *calls) {
		n := c.duration.addTo(&t.Took)
		t.Calls += n
		if c.code >= 500 {
			t.Errors += n
		}
	})
	t.Calls += uint64(t.Inflight)
	return t
}

// sumOf returns the sum of routes, for series that bear no route.
func sumOf(routes []*Route) *Route {
	sum := &Route{}
	for _, r := range routes {
		sum.inflight.Add(r.inflight.Load())
		sum.queued.Add(r.queued.Load())
		sum.wait.merge(&r.wait)
		for i := range r.rejected {
			sum.rejected[i].Add(r.rejected[i].Load())
		}
		for i := range r.timeouts {
			sum.timeouts[i].Add(r.timeouts[i].Load())
		}
		r.each(func(method int, c *calls) { sum.of(method, c.code).duration.merge(&c.duration) })
	}
	return sum
}

// Queued counts calls that wait for a place: +1 when one begins to, -1 when it is over.
func (r *Route) Queued(n int64) { r.queued.Add(n) }

// Waited counts how long a call waited for a place or for a process. Calls that
// did not wait are not counted.
func (r *Route) Waited(d time.Duration) { r.wait.add(d) }

// Rejected counts a call that was refused.
func (r *Route) Rejected(why Reason) { r.rejected[why].Add(1) }

// TimedOut counts a call that a timeout ended; kind is the timeout's key.
func (r *Route) TimedOut(kind string) { r.timeouts[timeoutIndex(kind)].Add(1) }

// Reason is why a call was refused.
type Reason uint8

// The reasons, each a value of the label of watchdogd_rejected_total.
const (
	OverRate        Reason = iota // rate
	Full                          // full
	QueueTimeout                  // queue
	TooLarge                      // body
	Unauthorized                  // auth
	Forbidden                     // forbidden
	AuthUnavailable               // auth_unavailable
	NotReady                      // not_ready
	CrashLoop                     // crash_loop
	Draining                      // draining
	reasons
)

// String is the reason as a label.
func (r Reason) String() string {
	return [reasons]string{"rate", "full", "queue", "body", "auth", "forbidden", "auth_unavailable", "not_ready", "crash_loop", "draining"}[r]
}

// family is the series of one name, and how those of one route are written.
type family struct {
	name, kind, help string
	write            func(w io.Writer, name, label string, r *Route)
}

// families are those that each route has a part in. Series that have counted
// nothing yet are not written.
var families = [...]family{
	{"http_requests_total", "counter", "total HTTP requests processed", writeTotals},
	{"http_request_duration_seconds", "histogram", "how long calls took", writeDurations},
	{"watchdogd_queue_wait_seconds", "histogram", "how long calls waited for a place or for a process, those that did", writeWait},
	{"watchdogd_rejected_total", "counter", "calls that were refused", writeRejected},
	{"watchdogd_timeouts_total", "counter", "calls that a timeout ended, by its key", writeTimeouts},
}

func writeTotals(w io.Writer, name, label string, r *Route) {
	r.each(func(m int, c *calls) {
		fmt.Fprintf(w, "%s{%s} %d\n", name, callLabels(m, c.code, label), c.duration.count())
	})
}

func writeDurations(w io.Writer, name, label string, r *Route) {
	r.each(func(m int, c *calls) { c.duration.write(w, name, callLabels(m, c.code, label)) })
}

func writeWait(w io.Writer, name, label string, r *Route) { r.wait.write(w, name, label) }

func writeRejected(w io.Writer, name, label string, r *Route) {
	for why := range reasons {
		writeCounter(w, name, join(`reason="`+why.String()+`"`, label), &r.rejected[why])
	}
}

func writeTimeouts(w io.Writer, name, label string, r *Route) {
	for i := range timeouts {
		writeCounter(w, name, join(`kind="`+timeoutKeys[i]+`"`, label), &r.timeouts[i])
	}
}

func writeCounter(w io.Writer, name, labels string, c *atomic.Uint64) {
	if n := c.Load(); n > 0 {
		fmt.Fprintf(w, "%s{%s} %d\n", name, labels, n)
	}
}

// each calls f for each method and status that was counted.
func (r *Route) each(f func(method int, c *calls)) {
	for m := range r.calls {
		if list := r.calls[m].Load(); list != nil {
			for _, c := range *list {
				f(m, c)
			}
		}
	}
}

func callLabels(method, code int, label string) string {
	return join(`code="`+strconv.Itoa(code)+`",method="`+methodNames[method]+`"`, label)
}

// join joins labels of which either may be nothing.
func join(a, b string) string {
	if a == "" || b == "" {
		return a + b
	}
	return a + "," + b
}

// methodNames are the methods that have a name; all others are unknown, so that
// nobody can make series by inventing methods.
var methodNames = [methods]string{"unknown", "get", "head", "post", "put", "patch", "delete", "options", "connect", "trace"}

const methods = 10

func methodIndex(method string) int {
	switch method {
	case "GET":
		return 1
	case "HEAD":
		return 2
	case "POST":
		return 3
	case "PUT":
		return 4
	case "PATCH":
		return 5
	case "DELETE":
		return 6
	case "OPTIONS":
		return 7
	case "CONNECT":
		return 8
	case "TRACE":
		return 9
	}
	return 0
}

// timeoutKeys are the keys of the timeouts that can end a call, and one for what has no key.
var timeoutKeys = [timeouts]string{"other", "start", "queue", "read", "first_byte", "exec", "idle"}

const timeouts = 7

func timeoutIndex(kind string) int {
	for i := 1; i < timeouts; i++ {
		if timeoutKeys[i] == kind {
			return i
		}
	}
	return 0
}
