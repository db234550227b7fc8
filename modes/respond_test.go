package modes

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/watchdogd/watchdogd/internal/failure"
)

func TestEveryKindHasAnAnswerThatTheDocumentationExplains(t *testing.T) {
	page, err := os.ReadFile("../docs/errors.md")
	if err != nil {
		t.Fatal(err)
	}
	known := map[string]bool{}
	for kind := failure.Internal; kind <= failure.Timeout; kind++ {
		if kind == failure.Gone {
			continue
		}
		a := answerTo(kind)
		known[a.name] = true
		if kind != failure.Internal && a.name == answerTo(failure.Internal).name {
			t.Errorf("kind %d has no row in the table", kind)
		}
		if !strings.Contains(string(page), fmt.Sprintf("## %s\n", a.name)) {
			t.Errorf("docs/errors.md has no section %q", a.name)
		}
		if !strings.Contains(string(page), fmt.Sprintf("## %s\n\n%d ", a.name, a.status)) {
			t.Errorf("docs/errors.md does not begin section %q with its status %d", a.name, a.status)
		}
	}
	for _, m := range regexp.MustCompile("\n## ([a-z-]+)\n\n[1-5][0-9][0-9] ").FindAllStringSubmatch(string(page), -1) {
		if !known[m[1]] {
			t.Errorf("docs/errors.md explains %q, which is no answer", m[1])
		}
	}
}

func TestAKindWithoutARowIsAnInternalError(t *testing.T) {
	if got := answerTo(200).status; got != 500 {
		t.Errorf("got status %d, want 500", got)
	}
}

func TestAProblemHasNoInternalCause(t *testing.T) {
	next := time.Date(2030, 1, 2, 3, 4, 5, 0, time.UTC)
	w := httptest.NewRecorder()
	w.Header().Set("Etag", `"of the answer that is not sent"`)
	Respond(w, httptest.NewRequest("GET", "/", nil), fmt.Errorf("wrapped: %w", &failure.Error{
		Kind: failure.NotReady, Route: "api", Detail: `"api" is not ready`, State: "backoff", NextStart: next,
		RetryAfter: 1500 * time.Millisecond, Cause: errors.New("secret"),
	}))
	if w.Code != 503 {
		t.Errorf("got status %d, want 503", w.Code)
	}
	for name, want := range map[string]string{
		"Content-Type": "application/problem+json", "Retry-After": "2", "Etag": "", "Connection": "",
		"Content-Length": fmt.Sprint(w.Body.Len()),
	} {
		if got := w.Header().Get(name); got != want {
			t.Errorf("%s: got %q, want %q", name, got, want)
		}
	}
	if strings.Contains(w.Body.String(), "secret") {
		t.Errorf("the cause is in the body: got %s, want no %q in it", w.Body, "secret")
	}
	var got map[string]any
	if err := json.Unmarshal(w.Body.Bytes(), &got); err != nil {
		t.Fatal(err)
	}
	want := map[string]any{
		"type": problemTypes + "not-ready", "title": "Not ready", "status": 503.0, "detail": `"api" is not ready`,
		"route": "api", "state": "backoff", "next_start": "2030-01-02T03:04:05Z",
	}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("got body\n%v, want\n%v", got, want)
	}
}

func TestAnyOtherErrorIsAnInternalError(t *testing.T) {
	w := httptest.NewRecorder()
	Respond(w, httptest.NewRequest("GET", "/", nil), errors.New("secret"))
	if w.Code != 500 || strings.Contains(w.Body.String(), "secret") {
		t.Errorf("got %d %s, want 500 and no %q in it", w.Code, w.Body, "secret")
	}
}

func TestAClientThatHasLeftGetsNoResponse(t *testing.T) {
	w := httptest.NewRecorder()
	w.Code = 0
	Respond(w, httptest.NewRequest("GET", "/", nil), &failure.Error{Kind: failure.Gone})
	if w.Code != 0 || w.Body.Len() > 0 || len(w.Header()) > 0 {
		t.Errorf("got %d %v %s, want 0, none and w.Body.Len() 0", w.Code, w.Header(), w.Body)
	}
}

func TestAllowIsSentWithAMethodThatIsNotAllowed(t *testing.T) {
	w := httptest.NewRecorder()
	Respond(w, httptest.NewRequest("PUT", "/", nil), &failure.Error{Kind: failure.Method, Allow: "GET, HEAD"})
	if w.Code != http.StatusMethodNotAllowed || w.Header().Get("Allow") != "GET, HEAD" {
		t.Errorf(`got %d %v, want w.Code == http.StatusMethodNotAllowed && w.Header().Get("Allow") == "GET, HEAD"`, w.Code, w.Header())
	}
}

func TestRetryAfterIsAtLeastASecondAndRoundedUp(t *testing.T) {
	now := time.Now()
	for _, c := range []struct {
		f    failure.Error
		want string
	}{
		{failure.Error{}, "1"},
		{failure.Error{RetryAfter: time.Second}, "1"},
		{failure.Error{RetryAfter: time.Second + 1}, "2"},
		{failure.Error{NextStart: now.Add(9*time.Second + 1)}, "10"},
		{failure.Error{NextStart: now.Add(-time.Minute)}, "1"},
	} {
		if got := retryAfter(&c.f, now); got != c.want {
			t.Errorf("%+v: got %s, want %s", c.f, got, c.want)
		}
	}
}
