package modes

import (
	"net"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/watchdogd/watchdogd/internal/testkit"
)

// apart in the environment says that a test runs in a network of its own.
const apart = "WATCHDOGD_MODES_APART"

// alone runs the test once more in a network of its own, with loopback only, and reports
// whether this is that one.
func alone(t *testing.T) bool {
	t.Helper()
	if os.Getenv(apart) != "" {
		return true
	}
	if os.Getuid() != 0 {
		t.Skip("only root may make a network")
	}
	for _, program := range []string{"unshare", "ip", "iptables"} {
		if _, err := exec.LookPath(program); err != nil {
			t.Skip(err)
		}
	}
	if out, err := exec.Command("unshare", "--net", "iptables", "--list").CombinedOutput(); err != nil {
		t.Skipf("no network of our own, or none that can be cut: %v: %s", err, out)
	}
	// The arguments of a shell follow its name: $0 is the test.
	cmd := exec.Command("unshare", "--net", "sh", "-c", `ip link set lo up && exec "$0" "$@"`, os.Args[0], "-test.run", "^"+t.Name()+"$", "-test.v")
	for _, v := range os.Environ() {
		if !strings.HasPrefix(v, inTests+"=") {
			cmd.Env = append(cmd.Env, v)
		}
	}
	cmd.Env = append(cmd.Env, apart+"=1")
	if out, err := cmd.CombinedOutput(); err != nil || !strings.Contains(string(out), "--- PASS") {
		t.Errorf("in a network of its own: got %v, want that it passes\n%s", err, out)
	}
	return false
}

// cut has the network lose every packet from and to an address.
func cut(t *testing.T, address string) {
	t.Helper()
	_, port, _ := net.SplitHostPort(address)
	for _, end := range []string{"--dport", "--sport"} {
		if out, err := exec.Command("iptables", "-I", "INPUT", "-p", "tcp", end, port, "-j", "DROP").CombinedOutput(); err != nil {
			t.Fatalf("got %v, want the link cut: %s", err, out)
		}
	}
}

// A server whose link is cut says nothing at all: neither a refusal nor a reset comes. Without
// a bound of our own the system waits for a quarter of an hour.
func TestAServerWhoseLinkIsCutIsLeftOut(t *testing.T) {
	if !alone(t) {
		return
	}
	var counts [2]atomic.Int64
	done, over := make(chan struct{}), sync.WaitGroup{}
	defer over.Wait()
	defer close(done)
	far := testkit.Upstream(t, func(_ int, p *testkit.Conn) {
		over.Go(func() { <-done; _ = p.Conn.Close() }) // which does not learn that the other side has gone
		for {
			r, err := http.ReadRequest(p.Reader)
			if err != nil {
				return
			}
			counts[0].Add(1)
			if r.URL.Path == "/slow" {
				continue // never answered
			}
			p.Send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
		}
	})
	near := counting(t, &counts[1])
	address, handler := elsewhere(t, far, near)

	// Both have connections, and a call is in flight at the far one.
	c := testkit.Dial(t, address)
	for range 10 {
		c.Send("GET / HTTP/1.1\r\nHost: api\r\n\r\n")
		c.Want(200, "ok")
	}
	var waiting *testkit.Conn
	for before := counts[0].Load(); counts[0].Load() == before; { // the near one answers it
		all := counts[0].Load() + counts[1].Load()
		waiting = testkit.Dial(t, address)
		waiting.Send("POST /slow HTTP/1.1\r\nHost: api\r\nContent-Length: 0\r\n\r\n")
		testkit.Eventually(t, "the call reaches a server", func() bool { return counts[0].Load()+counts[1].Load() > all })
	}
	cut(t, far)

	var calls sync.WaitGroup
	for n := range 8 {
		calls.Go(func() {
			c := testkit.Dial(t, address)
			for range 3 {
				c.Send("GET / HTTP/1.1\r\nHost: api\r\n\r\n")
				if res, body := c.Response("GET"); res == nil || res.StatusCode != 200 || body != "ok" {
					t.Errorf("client %d: got %v %q, want ok from the server that is left", n, res, body)
					return
				}
			}
		})
	}
	calls.Wait()
	if res, body := waiting.Response("POST"); res == nil || res.StatusCode != 502 {
		t.Errorf("the call that was in flight: got %v %q, want 502", res, body)
	}
	_, up := UpstreamsOf(handler)
	for _, e := range up.Endpoints {
		if want := map[bool]string{true: "left-out", false: "ready"}[strings.HasSuffix(far, e.Address)]; e.State != want {
			t.Errorf("%s: got %+v, want %s", e.Address, e, want)
		}
	}
	// Calls that cannot be repeated are served as well, while it is left out.
	c = testkit.Dial(t, address)
	for range 5 {
		c.Send("POST / HTTP/1.1\r\nHost: api\r\nContent-Length: 2\r\n\r\nhi")
		if res, body := c.Response("POST"); res == nil || res.StatusCode != 200 || body != "ok" {
			t.Errorf("a POST afterwards: got %v %q, want ok", res, body)
		}
	}
}
