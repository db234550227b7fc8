package auth

import (
	"bytes"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/watchdogd/watchdogd/internal/call"
	"github.com/watchdogd/watchdogd/internal/failure"
	"github.com/watchdogd/watchdogd/internal/testkit"
	"github.com/watchdogd/watchdogd/schema"
)

func TestMain(m *testing.M) { testkit.Main(m) }

// asked is a Check with what it logs.
type asked struct {
	check  *Check
	shared *Shared
	log    *logged
}

type logged struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *logged) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *logged) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// newAsked makes the Check of a route.
func newAsked(t testing.TB, route *schema.Route) *asked {
	t.Helper()
	log := &logged{}
	a := &asked{shared: NewShared(slog.New(slog.NewJSONHandler(log, nil))), log: log}
	var err error
	if a.check, err = New(route, a.shared); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = a.check.Close() })
	return a
}

// answer is what a Check says of a request.
type answer struct {
	status    int
	detail    string
	challenge string
	user      string
	header    http.Header // as the handler would see it
	body      string      // as it would read it
}

var statuses = map[failure.Kind]int{
	failure.Unauthorized: 401, failure.Forbidden: 403, failure.BodyTooLarge: 413, failure.Gone: 499, failure.AuthUnavailable: 503,
}

// ask asks about a request.
func (a *asked) ask(t testing.TB, r *http.Request) answer {
	one, r := call.Enter(httptest.NewRecorder(), r)
	defer one.Leave()
	if err := a.check.Check(one, r); err != nil {
		if statuses[err.Kind] == 0 {
			t.Errorf("got a failure of kind %d, want one of auth: %v", err.Kind, err)
		}
		return answer{status: statuses[err.Kind], detail: err.Detail, challenge: err.Challenge, header: r.Header}
	}
	body, err := io.ReadAll(r.Body)
	if err != nil {
		t.Errorf("read the body after the check: %v", err)
	}
	return answer{status: 200, user: one.User, header: r.Header, body: string(body)}
}

// call asks about a request with this value of Authorization; empty is none.
func (a *asked) call(t testing.TB, authorization string) answer {
	r := httptest.NewRequest("GET", "/", nil)
	r.Header.Set("X-Auth-Seconds", "9")
	if authorization != "" {
		r.Header.Set("Authorization", authorization)
	}
	return a.ask(t, r)
}

// file writes a file and returns its path.
func file(t testing.TB, text string) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "secrets")
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}

// wantMistakes checks that a file is refused with these lines and messages, and that none of
// them holds one of secrets.
func wantMistakes(t *testing.T, a schema.Auth, want string, secrets ...string) {
	t.Helper()
	_, err := New(&schema.Route{Name: "f", Auth: a}, NewShared(slog.New(slog.DiscardHandler)))
	if err == nil {
		t.Errorf("got no mistake, want %q", want)
		return
	}
	if !strings.Contains(err.Error(), want) {
		t.Errorf("got %q, want it to contain %q", err, want)
	}
	for _, secret := range secrets {
		if strings.Contains(err.Error(), secret) {
			t.Errorf("got %q, want it without %q", err, secret)
		}
	}
}
