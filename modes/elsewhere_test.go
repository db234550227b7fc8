package modes

import (
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/watchdogd/watchdogd/internal/testkit"
	"github.com/watchdogd/watchdogd/schema"
)

// elsewhere serves http mode in front of several servers, and returns the address and the handler.
func elsewhere(t *testing.T, servers ...string) (address string, handler http.Handler) {
	t.Helper()
	file := "routes: [{name: api, path: /, upstream: ['" + strings.Join(servers, "', '") + "']}]"
	cfg, err := schema.Parse("watchdog.yaml", []byte(file), func(string) (string, bool) { return "", false })
	if err != nil {
		t.Fatal(err)
	}
	h, err := New(&cfg.Routes[0], Deps{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = h.(io.Closer).Close() })
	return serve(t, h), h
}

// counting is an upstream that counts the requests that it answers.
func counting(t *testing.T, count *atomic.Int64) string {
	return testkit.Upstream(t, func(_ int, p *testkit.Conn) {
		for {
			r, err := http.ReadRequest(p.Reader)
			if err != nil {
				return
			}
			_, _ = io.Copy(io.Discard, r.Body)
			count.Add(1)
			p.Send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
		}
	})
}

func TestServersOfAListShareTheCalls(t *testing.T) {
	var counts [3]atomic.Int64
	address, _ := elsewhere(t, counting(t, &counts[0]), counting(t, &counts[1]), counting(t, &counts[2]))
	c := testkit.Dial(t, address)
	for range 300 {
		c.Send("GET / HTTP/1.1\r\nHost: api\r\n\r\n")
		c.Want(200, "ok")
	}
	for i := range counts {
		if got := counts[i].Load(); got < 90 || got > 110 {
			t.Errorf("server %d: got %d of 300 calls, want about 100", i, got)
		}
	}
}

func TestACallThatAServerRefusesGoesToTheNext(t *testing.T) {
	var count atomic.Int64
	address, handler := elsewhere(t, testkit.FreeAddress(t), counting(t, &count), testkit.FreeAddress(t))
	c := testkit.Dial(t, address)
	for range 20 {
		c.Send("POST / HTTP/1.1\r\nHost: api\r\nContent-Length: 5\r\n\r\nhello")
		c.Want(200, "ok")
	}
	if got := count.Load(); got != 20 {
		t.Errorf("got %d calls, want each of 20 once", got)
	}
	route, up := UpstreamsOf(handler)
	if route != "api" || up.Endpoints[0].State != "left-out" || up.Endpoints[1].State != "ready" || !strings.Contains(up.Endpoints[2].Reason, "refused") {
		t.Errorf("got %q, %+v, want the two that refuse left out", route, up)
	}
}

// breaking is an upstream that reads a request and breaks the connection.
func breaking(t *testing.T, count *atomic.Int64) string {
	return testkit.Upstream(t, func(_ int, p *testkit.Conn) {
		if r, err := http.ReadRequest(p.Reader); err == nil {
			_, _ = io.Copy(io.Discard, r.Body)
			count.Add(1)
		}
	})
}

func TestOnlyWhatMayBeRepeatedGoesToTheNextServerAfterOneBroke(t *testing.T) {
	for _, c := range []struct {
		request string
		status  int
	}{
		{"GET / HTTP/1.1\r\nHost: api\r\n\r\n", 200},
		{"POST / HTTP/1.1\r\nHost: api\r\nContent-Length: 5\r\n\r\nhello", 502},
	} {
		var broken, served atomic.Int64
		address, _ := elsewhere(t, breaking(t, &broken), counting(t, &served))
		for broken.Load() == 0 { // the good one may be the first
			before := served.Load()
			p := testkit.Dial(t, address)
			p.Send(c.request)
			res, _ := p.Response("GET")
			want := c.status
			if broken.Load() == 0 {
				want = 200
			}
			if res.StatusCode != want {
				t.Errorf("%.4s: got %d, want %d", c.request, res.StatusCode, want)
			}
			if got := served.Load() - before; want == 502 && got != 0 {
				t.Errorf("%.4s: the other server got %d requests, want none", c.request, got)
			}
		}
		if got := broken.Load(); got != 1 {
			t.Errorf("%.4s: the server that breaks got %d requests, want 1", c.request, got)
		}
	}
}

func TestACallOfAServerThatVanishedDoesNotRepeatForEver(t *testing.T) {
	var broken [4]atomic.Int64
	address, _ := elsewhere(t, breaking(t, &broken[0]), breaking(t, &broken[1]), breaking(t, &broken[2]), breaking(t, &broken[3]))
	c := testkit.Dial(t, address)
	c.Send("GET / HTTP/1.1\r\nHost: api\r\n\r\n")
	if res, _ := c.Response("GET"); res.StatusCode != 502 {
		t.Errorf("got %d, want 502", res.StatusCode)
	}
	var total int64
	for i := range broken {
		total += broken[i].Load()
	}
	if total != 2 {
		t.Errorf("the request reached %d servers, want 2: it is repeated once", total)
	}
}
