package probe

import (
	"context"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/watchdogd/watchdogd/internal/testkit"
	"github.com/watchdogd/watchdogd/schema"
	"github.com/watchdogd/watchdogd/supervisor/child"
	"github.com/watchdogd/watchdogd/supervisor/internal/testprogram"
)

// TestMain is also the children: with BE in the environment the test binary is that program.
func TestMain(m *testing.M) {
	if child.Shim() {
		return
	}
	if be, ok := os.LookupEnv("BE"); ok {
		status, _ := testprogram.Run(strings.Fields(be))
		os.Exit(status)
	}
	testkit.Main(m)
}

func within(t *testing.T, d time.Duration) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), d)
	t.Cleanup(cancel)
	return ctx
}

// at is a target that listens on address.
func at(address string) *Target {
	port := netip.MustParseAddrPort(address).Port()
	return &Target{Address: &Address{Stated: schema.Endpoint{Network: "tcp", Address: address, Host: address}}, Vars: schema.Vars{Name: "a", Number: 2, Port: int(port)}}
}

func TestATCPProbeConnects(t *testing.T) {
	l := testkit.Listen(t)
	path := filepath.Join(t.TempDir(), "a.sock")
	socket, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	defer socket.Close()
	_, port, _ := net.SplitHostPort(l.Addr().String())
	nobody := testkit.FreeAddress(t)
	for _, c := range []struct {
		tcp, at string
		want    string // in the error; empty is none
	}{
		{"${PORT}", l.Addr().String(), ""},
		{"${PORT}", nobody, "refused"},
		{l.Addr().String(), nobody, ""},
		{":" + port, nobody, ""},
		{"127.0.0.1:${PORT}", l.Addr().String(), ""},
		{"unix:" + path, nobody, ""},
		{"unix:" + path + "x", nobody, "no such file"},
	} {
		p, err := New("a", schema.Probe{TCP: schema.Text(c.tcp)}, nil)
		if err != nil {
			t.Fatal(err)
		}
		err = p.Ask(within(t, testkit.Patience), at(c.at))
		if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
			t.Errorf("tcp %s of one at %s: got %v, want %q", c.tcp, c.at, err, c.want)
		}
	}
}

func TestATCPProbeOfAServiceNeedsNoUpstream(t *testing.T) {
	l := testkit.Listen(t)
	target := at(l.Addr().String())
	target.Address = nil
	p, err := New("a", schema.Probe{TCP: "${PORT}"}, nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Ask(within(t, testkit.Patience), target); err != nil {
		t.Errorf("got %v, want its port on this host", err)
	}
	p, err = New("a", schema.Probe{HTTP: "/"}, nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Ask(within(t, testkit.Patience), target); err == nil || !strings.Contains(err.Error(), "needs an upstream") {
		t.Errorf("a path: got %v, want that it needs an upstream", err)
	}
}

func TestAnHTTPProbeSucceedsFrom200To399(t *testing.T) {
	status := atomic.Int64{}
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != "GET" || r.Header.Get("User-Agent") != "watchdogd-probe" || r.URL.Path != "/base/a" && r.URL.Path != "/whole" {
			t.Errorf("got %s %s of %s, want GET /base/a or /whole of watchdogd-probe", r.Method, r.URL, r.UserAgent())
		}
		w.Header().Set("Location", "/never")
		w.WriteHeader(int(status.Load()))
		_, _ = w.Write([]byte("  why it is so\nand more"))
	}))
	defer s.Close()
	target := at(s.Listener.Addr().String())
	target.Address.Stated.BasePath = "/base"
	for _, url := range []string{"/a", s.URL + "/whole"} {
		p, err := New("a", schema.Probe{HTTP: schema.Text(url)}, nil)
		if err != nil {
			t.Fatal(err)
		}
		for code, want := range map[int64]bool{200: true, 204: true, 302: true, 399: true, 400: false, 404: false, 503: false} {
			status.Store(code)
			err := p.Ask(within(t, testkit.Patience), target)
			if (err == nil) != want {
				t.Errorf("%s, %d: got %v, want success: %v", url, code, err, want)
			}
			if answer, body := "", ""; err != nil {
				if answer, body = Said(err); answer != "status "+strconv.FormatInt(code, 10) || body != "why it is so" {
					t.Errorf("%s, %d: got %q, %q, want the status and the first line", url, code, answer, body)
				}
			}
		}
	}
}

func TestAProbeThatIsNotAnsweredEndsAfterItsTimeout(t *testing.T) {
	address := testkit.Upstream(t, func(_ int, c *testkit.Conn) { _ = c.Rest() }) // reads, and says nothing
	p, err := New("a", schema.Probe{HTTP: "/", Timeout: schema.Duration(50 * time.Millisecond)}, nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Ask(within(t, testkit.Patience), at(address)); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v, want that its time is over", err)
	}
}

func TestAnExecProbeIsTheExitStatusOfItsProgram(t *testing.T) {
	for be, want := range map[string]string{"exit 0": "", "exit 3": "exit status 3", "sleep": "did not end in time"} {
		probe := schema.Probe{Exec: testprogram.Process(t, be).FProcess, Timeout: schema.Duration(testkit.Patience)}
		if be == "sleep" {
			probe.Timeout = schema.Duration(100 * time.Millisecond)
		}
		p, err := New("a", probe, testprogram.Process(t, be))
		if err != nil {
			t.Fatal(err)
		}
		beside, err := child.NewProgram("a", testprogram.Process(t, "sleep"))
		if err != nil {
			t.Fatal(err)
		}
		c, err := beside.Start(child.StartOptions{})
		if err != nil {
			t.Fatal(err)
		}
		err = p.Ask(within(t, testkit.Patience), &Target{Child: c, Environ: func() (below, above []string) { return nil, nil }})
		c.Kill()
		if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("%s: got %v, want %q", be, err, want)
		}
	}
}

func TestALogProbeWaitsForItsLine(t *testing.T) {
	p, err := New("a", schema.Probe{Log: "^ready on ${PORT}$"}, nil)
	if err != nil {
		t.Fatal(err)
	}
	if line, err := p.Line(schema.Vars{Port: 80}); err != nil || !line.MatchString("ready on 80") || line.MatchString("not ready on 80") {
		t.Errorf("got %v, %v, want the line with its port", line, err)
	}
	said := make(chan struct{})
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	if err := p.Ask(gone, &Target{Said: said}); err == nil {
		t.Error("before the line: got success, want an error")
	}
	close(said)
	if err := p.UntilReady(within(t, testkit.Patience), &Target{Said: said}); err != nil {
		t.Errorf("after the line: got %v, want success", err)
	}
	if _, err := New("a", schema.Probe{Log: "(${NAME}"}, nil); err == nil || !strings.Contains(err.Error(), "regular expression") {
		t.Errorf("half an expression: got %v, want that it is none", err)
	}
}

func TestUntilReadyAsksAgainAndFindsTheOtherLoopback(t *testing.T) {
	port := strconv.Itoa(testkit.FreePort(t))
	l, err := net.Listen("tcp", "[::1]:"+port)
	if err != nil {
		t.Skip("no IPv6 loopback:", err)
	}
	defer l.Close()
	target := at("127.0.0.1:" + port)
	target.Address.Either, target.Address.Port = true, target.Vars.Port
	var answers atomic.Int64
	target.Answer = func(error) { answers.Add(1) }
	p, err := New("a", schema.Probe{TCP: "${PORT}"}, nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := p.UntilReady(within(t, testkit.Patience), target); err != nil || answers.Load() == 0 {
		t.Errorf("got %v after %d other answers, want success after one", err, answers.Load())
	}
	if got, want := target.Address.Endpoint().Address, "[::1]:"+port; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	target.Address.Find(t.Context())
	if got, want := target.Address.Endpoint().Address, "[::1]:"+port; got != want {
		t.Errorf("found again: got %s, want %s", got, want)
	}
	target.Address.Adopt("127.0.0.1:1")
	if got, want := target.Address.Endpoint().Host, "127.0.0.1:1"; got != want {
		t.Errorf("adopted: got %s, want %s", got, want)
	}
}

func TestUntilReadyEndsWithTheLastAnswer(t *testing.T) {
	target := at(testkit.FreeAddress(t))
	p, err := New("a", schema.Probe{TCP: "${PORT}"}, nil)
	if err != nil {
		t.Fatal(err)
	}
	err = p.UntilReady(within(t, 50*time.Millisecond), target)
	if want := "tcp " + target.Address.Stated.Address + ": "; err == nil || !strings.HasPrefix(err.Error(), want) {
		t.Errorf("got %v, want %s and why", err, want)
	}
}
