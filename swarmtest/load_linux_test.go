package swarmtest

import (
	"context"
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// result is what came of one call.
type result struct {
	method        string
	begin, end    time.Time
	arrived       time.Time // at the task that answered
	status        int       // 0: no response
	task, version string
	problem       string // it was lost: an error, another status, or another body
}

// call sends a body and expects it back.
func call(client *http.Client, method, url, body string) (r result) {
	r.method, r.begin = method, time.Now()
	defer func() { r.end = time.Now() }()
	var upload io.Reader
	if method == http.MethodPost {
		upload = strings.NewReader(body)
	}
	request, err := http.NewRequest(method, url, upload)
	if err != nil {
		r.problem = err.Error()
		return r
	}
	response, err := client.Do(request)
	if err != nil {
		r.problem = err.Error()
		return r
	}
	defer response.Body.Close()
	got, err := io.ReadAll(response.Body)
	r.status, r.task, r.version = response.StatusCode, response.Header.Get("X-Task"), response.Header.Get("X-Version")
	r.arrived, _ = time.Parse(time.RFC3339Nano, response.Header.Get("X-Arrived")) // else it is zero
	switch {
	case err != nil:
		r.problem = err.Error()
	case response.StatusCode != http.StatusOK:
		r.problem = fmt.Sprintf("%s: %s", response.Status, got)
	case method == http.MethodPost && string(got) != body:
		r.problem = fmt.Sprintf("got the body %q, want %q", got, body)
	}
	return r
}

// newClient returns a client that waits long enough for any answer.
func newClient() *http.Client {
	return &http.Client{Timeout: patience, Transport: &http.Transport{MaxIdleConnsPerHost: 200}}
}

// load is calls that are sent at a steady rate to some URLs in turn, half of them GET and half
// POST, however long they take.
type load struct {
	stop    context.CancelFunc
	sending sync.WaitGroup

	mu      sync.Mutex
	results []result
}

// start begins to send calls; they end with the test, if not before.
func start(t *testing.T, rate int, urls ...string) *load {
	ctx, cancel := context.WithCancel(t.Context())
	l := &load{stop: cancel}
	client := newClient()
	l.sending.Go(func() {
		tick := time.NewTicker(time.Second / time.Duration(rate))
		defer tick.Stop()
		for n := 0; ; n++ {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
			}
			l.sending.Go(func() {
				method := []string{http.MethodGet, http.MethodPost}[n%2]
				r := call(client, method, urls[n/2%len(urls)], fmt.Sprintf("call %d", n))
				l.mu.Lock()
				defer l.mu.Unlock()
				l.results = append(l.results, r)
			})
		}
	})
	t.Cleanup(func() { l.end() })
	return l
}

// end ends the load when its calls are answered, and returns their results.
func (l *load) end() []result {
	l.stop()
	l.sending.Wait()
	return l.results
}

// answered returns how many calls were answered so far.
func (l *load) answered() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.results)
}

// shares counts the calls that each task has answered so far.
func (l *load) shares() map[string]int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return shares(l.results)
}

// more waits for as many further answers.
func (l *load) more(t *testing.T, n int) {
	t.Helper()
	want := l.answered() + n
	eventually(t, fmt.Sprintf("%d further answers", n), func() bool { return l.answered() >= want })
}

// noneLost fails the test if a call was lost.
func noneLost(t *testing.T, results []result) {
	t.Helper()
	if len(results) == 0 {
		t.Error("got no call, want a load")
	}
	if lost := problems(results); len(lost) > 0 {
		t.Errorf("got %d of %d calls lost, want none:\n%s", len(lost), len(results), strings.Join(lost[:min(len(lost), 10)], "\n"))
	}
}

// problems says of each call that was lost how.
func problems(results []result) (lost []string) {
	for _, r := range results {
		if r.problem != "" {
			lost = append(lost, fmt.Sprintf("%s at %s, after %v: %s", r.method, r.begin.Format("05.000"), r.end.Sub(r.begin).Round(time.Millisecond), r.problem))
		}
	}
	return lost
}

// longest returns the longest time that a call took.
func longest(results []result) (d time.Duration) {
	for _, r := range results {
		d = max(d, r.end.Sub(r.begin))
	}
	return d.Round(time.Millisecond)
}

// shares counts the calls that each task has answered.
func shares(results []result) map[string]int {
	all := map[string]int{}
	for _, r := range results {
		all[r.task]++
	}
	return all
}

// counts lists a map in the order of its keys.
func counts(all map[string]int) string {
	var list []string
	for _, k := range slices.Sorted(maps.Keys(all)) {
		list = append(list, fmt.Sprintf("%s: %d", k, all[k]))
	}
	return strings.Join(list, ", ")
}

// attempts runs a test that measures until nothing in it was late, three times at most: the
// machine may be busy. What else the test checks must hold each time.
func attempts(t *testing.T, test func(t *testing.T) (late []string)) {
	for n := 1; ; n++ {
		var late []string
		if !t.Run(fmt.Sprint("attempt ", n), func(t *testing.T) { late = test(t) }) || len(late) == 0 {
			return
		}
		if n == 3 {
			t.Errorf("got this late in each of %d attempts: %s", n, strings.Join(late, "; "))
			return
		}
		t.Logf("attempt %d: %s", n, strings.Join(late, "; "))
	}
}

// stalls is how long this process did not run, for want of a processor: on a machine that is
// busy, what it measures took as much longer.
type stalls struct {
	mu  sync.Mutex
	max time.Duration
}

// watchStalls watches until the test ends.
func watchStalls(t *testing.T) *stalls {
	s := new(stalls)
	var watching sync.WaitGroup
	t.Cleanup(watching.Wait)
	ctx := t.Context() // it ends before the cleanup
	watching.Go(func() {
		const every = 10 * time.Millisecond
		for ctx.Err() == nil {
			begin := time.Now()
			time.Sleep(every)
			late := time.Since(begin) - every
			s.mu.Lock()
			s.max = max(s.max, late)
			s.mu.Unlock()
		}
	})
	return s
}

func (s *stalls) longest() time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.max
}
