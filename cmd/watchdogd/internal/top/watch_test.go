package top

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/watchdogd/watchdogd/cmd/watchdogd/internal/admin"
	"github.com/watchdogd/watchdogd/internal/testkit"
)

// fake is an admin API on a socket.
type fake struct {
	path   string
	server *http.Server
	served sync.WaitGroup
}

func serve(t *testing.T, path string, handler http.Handler) *fake {
	t.Helper()
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	f := &fake{path: path, server: &http.Server{Handler: handler}}
	f.served.Go(func() { _ = f.server.Serve(l) })
	t.Cleanup(f.stop)
	return f
}

func (f *fake) stop() {
	_ = f.server.Close()
	f.served.Wait()
}

// stackAt is a stack of the socket at path.
func stackAt(path string) *stack {
	client := admin.At(path)
	s := &stack{find: func() (admin.Client, error) { return client, errors.New("not found") }}
	s.client.Store(&client)
	return s
}

// running runs something until the end of the test, and returns what it sends.
func running(t *testing.T, run func(context.Context, func(any))) <-chan any {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	sent := make(chan any)
	var all sync.WaitGroup
	all.Go(func() {
		run(ctx, func(m any) {
			select {
			case sent <- m:
			case <-ctx.Done():
			}
		})
	})
	t.Cleanup(func() { cancel(); all.Wait() })
	return sent
}

func full(pid int) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("/v1/info", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintf(w, `{"pid": %d, "name": "shop"}`, pid) })
	mux.HandleFunc("/v1/history", func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprint(w, `{"step": 20, "series": [{"name": "api", "rate": [1, 2]}]}`)
	})
	mux.HandleFunc("/v1/events", func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, "retry: 1000\n\nevent: full\ndata: {\"begun\": %d, \"rows\": [{\"name\": \"api\", \"kind\": \"route\", \"state\": \"ready\"}]}\n\n", pid)
		fmt.Fprint(w, "event: change\ndata: {\"all\": {\"rate\": 3}, \"rows\": [{\"name\": \"api\", \"state\": \"backoff\"}]}\n\n")
		_ = http.NewResponseController(w).Flush() // as the test goes on
		<-r.Context().Done()
	})
	return mux
}

func TestAStackThatIsStartedAgainIsWatchedAgain(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	first := serve(t, path, full(1))
	sent := running(t, stackAt(path).watch)
	b := testkit.Await(t, "the first event", sent).(began)
	if b.who.PID != 1 || len(b.full.Rows) != 1 || b.before.Step != 20 || len(b.before.Series) != 1 {
		t.Errorf("got %+v, want all that is served", b)
	}
	c := testkit.Await(t, "a change", sent).(changed)
	if c.change.All == nil || c.change.All.Rate != 3 || c.change.Rows[0].State != "backoff" {
		t.Errorf("got %+v, want the change", c)
	}
	first.stop()
	l := testkit.Await(t, "the loss", sent).(lost)
	if l.err == nil {
		t.Error("got no reason of the loss, want one")
	}
	for l.err.Error() != "no watchdogd answers" {
		l = testkit.Await(t, "the reason", sent).(lost)
	}
	serve(t, path, full(2))
	for {
		m := testkit.Await(t, "the second watchdogd", sent)
		if b, ok := m.(began); ok {
			if b.who.PID != 2 {
				t.Errorf("got %+v, want the second one", b)
			}
			return
		}
	}
}

// Only a full event says where in the file a new row stands.
func TestANewRowIsShownInItsPlace(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	mux := http.NewServeMux()
	mux.HandleFunc("/v1/info", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, `{"pid": 1}`) })
	names := make(chan string, 2)
	names <- `{"name": "b"}`
	names <- `{"name": "a"}, {"name": "b"}`
	mux.HandleFunc("/v1/events", func(w http.ResponseWriter, r *http.Request) {
		select {
		case rows := <-names:
			fmt.Fprintf(w, "event: full\ndata: {\"rows\": [%s]}\n\nevent: change\ndata: {\"rows\": [{\"name\": \"a\"}]}\n\n", rows)
			_ = http.NewResponseController(w).Flush() // the test reads it
		default:
		}
		<-r.Context().Done()
	})
	serve(t, path, mux)
	sent := running(t, stackAt(path).watch)
	s := &Screen{}
	s.Resize(80, 24)
	for range 2 {
		b := testkit.Await(t, "a full event", sent).(began)
		s.Begin(start, b.who, b.full, b.before)
		s.Change(start, testkit.Await(t, "a change", sent).(changed).change)
	}
	if len(s.shown) != 2 || s.shown[0].Name != "a" || s.selected != "b" {
		t.Errorf("got %d rows, %s selected, want a before b, which stays selected", len(s.shown), s.selected)
	}
}

func TestAnAnswerThatIsNoneIsAReason(t *testing.T) {
	for text, want := range map[string]string{
		"event: full\ndata: {\n\n":    "read an event of watchdogd",
		"event: change\ndata: []\n\n": "read an event of watchdogd",
		"":                            "the connection to watchdogd has ended",
		"data: {\"rows\": 1}\n\n":     "read an event of watchdogd",
		"503":                         "too many",
	} {
		path := filepath.Join(t.TempDir(), "s")
		mux := http.NewServeMux()
		mux.HandleFunc("/v1/info", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "{}") })
		mux.HandleFunc("/v1/events", func(w http.ResponseWriter, _ *http.Request) {
			if text == "503" {
				w.WriteHeader(503)
				fmt.Fprint(w, `{"error": "too many clients"}`)
			}
			fmt.Fprint(w, text)
		})
		serve(t, path, mux)
		err := stackAt(path).events(t.Context(), func(any) { t.Errorf("%q: got a message, want none", text) })
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: got %v, want %q", text, err, want)
		}
	}
}

// The log goes on where it was cut, and a line too long or no JSON at all ends nothing else.
func TestALogIsFollowedOverARestart(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	asked := make(chan string, 10)
	cut := make(chan struct{})
	log := func(w http.ResponseWriter, r *http.Request) {
		asked <- r.URL.Query().Get("since")
		_ = json.NewEncoder(w).Encode(logOf("a line")[0]) // the test reads it
		fmt.Fprintln(w, "not JSON")
		_ = json.NewEncoder(w).Encode(logOf("", "the next")[1])
		_ = http.NewResponseController(w).Flush()
		select {
		case <-cut:
		case <-r.Context().Done():
		}
	}
	serve(t, path, http.HandlerFunc(log))
	of := make(chan Follow, 1)
	of <- Follow{Name: "api"}
	sent := running(t, func(ctx context.Context, send func(any)) { follow(ctx, stackAt(path), of, send) })
	var texts []string
	for len(texts) < 2 {
		p := testkit.Await(t, "lines", sent).(printed)
		for _, l := range p.lines {
			texts = append(texts, l.Text)
		}
	}
	if got := strings.Join(texts, ", "); got != "a line, the next" {
		t.Errorf("got %q, want the two lines", got)
	}
	if got := testkit.Await(t, "the request", asked); got != "" {
		t.Errorf("got since=%q, want none at first", got)
	}
	close(cut)
	if got := testkit.Await(t, "another request", asked); !strings.HasPrefix(got, "2026-05-01T12:00:01.000000001") {
		t.Errorf("got since=%q, want the time after the last line", got)
	}
}
