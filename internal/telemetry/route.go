package telemetry

import (
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/VictoriaMetrics/metrics"
)

// Route counts the calls of one route. Its series come into being when they are
// first needed; from then on counting is an index and an addition.
type Route struct {
	set   *metrics.Set
	name  string
	label string // route="NAME", or nothing

	inflight, queued atomic.Int64
	calls            [methods]atomic.Pointer[[]calls]
	wait             atomic.Pointer[metrics.PrometheusHistogram]
	rejected         [reasons]atomic.Pointer[metrics.Counter]
	timeouts         [timeouts]atomic.Pointer[metrics.Counter]

	mu        sync.Mutex // guards what follows, and is held where series are made
	names     []string   // of the series in set
	forgotten bool
}

// calls are the two series of one method and status. A method has few of them,
// so that a walk is the fastest way to the right one.
type calls struct {
	code     int
	total    *metrics.Counter
	duration *metrics.PrometheusHistogram
}

// Begin counts a call that came. Each Begin is followed by one End.
func (r *Route) Begin() { r.inflight.Add(1) }

// End counts a call that is over: its method as it came, the status as it was
// sent, and how long it took.
func (r *Route) End(method string, code int, took time.Duration) {
	r.inflight.Add(-1)
	m := methodIndex(method)
	for {
		if list := r.calls[m].Load(); list != nil {
			for i := range *list {
				if c := &(*list)[i]; c.code == code {
					c.total.Inc()
					c.duration.Update(took.Seconds())
					return
				}
			}
		}
		r.addCalls(m, code)
	}
}

// addCalls makes the series of one method and status, unless they are there.
func (r *Route) addCalls(m, code int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	var list []calls
	if p := r.calls[m].Load(); p != nil {
		list = *p
	}
	for i := range list {
		if list[i].code == code {
			return
		}
	}
	labels := `code="` + strconv.Itoa(code) + `",method="` + methodName(m) + `"`
	if r.label != "" {
		labels += "," + r.label
	}
	total, duration := series("http_requests_total", labels), series("http_request_duration_seconds", labels)
	set := r.home(total, duration)
	list = append(list[:len(list):len(list)], calls{
		code:     code,
		total:    set.GetOrCreateCounter(total),
		duration: set.GetOrCreatePrometheusHistogram(duration), // its buckets are of-watchdog's
	})
	r.calls[m].Store(&list)
}

// Queued counts calls that wait for a place: +1 when one begins to, -1 when it is over.
func (r *Route) Queued(n int64) { r.queued.Add(n) }

// Waited counts how long a call waited for a place or for a process. Calls that
// did not wait are not counted.
func (r *Route) Waited(d time.Duration) {
	h := r.wait.Load()
	if h == nil {
		r.mu.Lock()
		name := series("watchdogd_queue_wait_seconds", r.label)
		h = r.home(name).GetOrCreatePrometheusHistogram(name)
		r.wait.Store(h)
		r.mu.Unlock()
	}
	h.Update(d.Seconds())
}

// Reason is why a call was refused.
type Reason uint8

// The reasons, each a value of the label of watchdogd_rejected_total.
const (
	OverRate     Reason = iota // rate
	Full                       // full
	QueueTimeout               // queue
	TooLarge                   // body
	Unauthorized               // auth
	NotReady                   // not_ready
	CrashLoop                  // crash_loop
	Draining                   // draining
	reasons
)

// String is the reason as a label.
func (r Reason) String() string {
	return [reasons]string{"rate", "full", "queue", "body", "auth", "not_ready", "crash_loop", "draining"}[r]
}

// Rejected counts a call that was refused.
func (r *Route) Rejected(why Reason) {
	r.count(&r.rejected[why], "watchdogd_rejected_total", "reason", why.String())
}

// TimedOut counts a call that a timeout ended; kind is the timeout's key.
func (r *Route) TimedOut(kind string) {
	i := timeoutIndex(kind)
	r.count(&r.timeouts[i], "watchdogd_timeouts_total", "kind", timeoutName(i))
}

// count adds one to a counter that is made when it is first needed.
func (r *Route) count(p *atomic.Pointer[metrics.Counter], name, key, value string) {
	c := p.Load()
	if c == nil {
		labels := key + `="` + value + `"`
		if r.label != "" {
			labels += "," + r.label
		}
		r.mu.Lock()
		full := series(name, labels)
		c = r.home(full).GetOrCreateCounter(full)
		p.Store(c)
		r.mu.Unlock()
	}
	c.Inc()
}

// home gives the set in which series called names are made: the common one, or
// for a route that is forgotten one that nobody will read. r.mu is held.
func (r *Route) home(names ...string) *metrics.Set {
	if r.forgotten {
		return metrics.NewSet()
	}
	r.names = append(r.names, names...)
	return r.set
}

// forget takes the route's series out of the exposition.
func (r *Route) forget() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.forgotten = true
	for _, n := range r.names {
		r.set.UnregisterMetric(n)
	}
	r.names = nil
}

// series is a name with its labels.
func series(name, labels string) string {
	if labels == "" {
		return name
	}
	return name + "{" + labels + "}"
}

// methods is the number of methods that have a name; all others are "unknown", so
// that nobody can make series by inventing methods.
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

func methodName(i int) string {
	return [methods]string{"unknown", "get", "head", "post", "put", "patch", "delete", "options", "connect", "trace"}[i]
}

// timeouts is the number of keys of timeouts that can end a call, and one for what has no key.
const timeouts = 7

func timeoutIndex(kind string) int {
	for i := 1; i < timeouts; i++ {
		if timeoutName(i) == kind {
			return i
		}
	}
	return 0
}

func timeoutName(i int) string {
	return [timeouts]string{"other", "start", "queue", "read", "first_byte", "exec", "idle"}[i]
}
