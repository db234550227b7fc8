package auth

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/watchdogd/watchdogd/internal/testkit"
	"github.com/watchdogd/watchdogd/schema"
)

func TestAnUnknownKeyHasTheKeysFetchedOnceAMinute(t *testing.T) {
	i := newIssuer(t)
	old := i.newSigner(t, "old", jose.ES256)
	a := i.jwtOf(t, nil)
	if got := a.call(t, "Bearer "+i.forAPI(t, old, nil)); got.status != 200 {
		t.Fatalf("got %+v, want 200", got)
	}
	fresh := i.newSigner(t, "fresh", jose.ES256)
	var all sync.WaitGroup
	for range 8 {
		token := i.forAPI(t, fresh, nil)
		all.Go(func() {
			if got := a.call(t, "Bearer "+token); got.status != 200 {
				t.Errorf("a fresh key right after the start: got %+v, want 200", got)
			}
		})
	}
	all.Wait()
	for n := range 50 {
		if got := a.call(t, "Bearer "+i.forAPI(t, &signer{fmt.Sprint("stranger", n), old.algorithm, old.key}, nil)); got.status != 401 {
			t.Errorf("an unknown key: got %+v, want 401", got)
		}
	}
	i.set(func() {
		if i.asked != 2 {
			t.Errorf("got %d requests for the keys, want one at the start and one for the first unknown key", i.asked)
		}
	})
	issuer := a.issuer()
	issuer.mu.Lock()
	issuer.asked = issuer.asked.Add(-time.Minute)
	issuer.mu.Unlock()
	i.set(func() { i.public = i.public[1:] })
	if got := a.call(t, "Bearer "+i.forAPI(t, &signer{"x", old.algorithm, old.key}, nil)); got.status != 401 {
		t.Errorf("got %+v, want 401", got)
	}
	if got := a.call(t, "Bearer "+i.forAPI(t, old, nil)); got.status != 401 {
		t.Errorf("a key that was taken away: got %+v, want 401", got)
	}
}

func TestAnIssuerThatIsDownIsAStateWithAReason(t *testing.T) {
	i := newIssuer(t)
	s := i.newSigner(t, "a", jose.ES256)
	i.set(func() { i.broken = true })
	a := i.jwtOf(t, nil) // does not fail
	token := "Bearer " + i.forAPI(t, s, nil)
	got := a.call(t, token)
	if got.status != 503 || !strings.Contains(got.detail, "keys of the issuer") {
		t.Errorf("got %+v, want 503 with the reason", got)
	}
	if got := a.call(t, "Bearer x.y.z"); got.status != 401 {
		t.Errorf("a malformed token: got %+v, want 401", got)
	}
	if log := a.log.String(); !strings.Contains(log, "keys of the issuer cannot be fetched") || !strings.Contains(log, "502 Bad Gateway") || strings.Count(log, "\n") != 1 {
		t.Errorf("got the log %q, want one line with the reason", log)
	}
	i.set(func() { i.broken = false })
	issuer := a.issuer()
	triedAt := func(when time.Time) {
		issuer.mu.Lock()
		defer issuer.mu.Unlock()
		issuer.tried, issuer.failed = when, 1
	}
	triedAt(time.Now().Add(testkit.Patience)) // however slow this machine is
	if got := a.call(t, token); got.status != 503 {
		t.Errorf("too soon after the last attempt: got %+v, want 503", got)
	}
	triedAt(time.Now())
	if got := a.call(t, token); got.status != 200 {
		t.Errorf("just before the next attempt: got %+v, want it to wait for that and 200", got)
	}
	if log := a.log.String(); !strings.Contains(log, "the keys of the issuer were fetched") {
		t.Errorf("got the log %q, want it to report the keys", log)
	}

	// A reload while it is down keeps the keys.
	i.set(func() { i.broken = true })
	next, err := New(&schema.Route{Name: "f", Auth: schema.Auth{JWT: &schema.JWTAuth{Issuer: i.URL, Audience: "api"}}}, a.shared)
	if err != nil {
		t.Fatal(err)
	}
	if err := next.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	reloaded := &asked{check: next, shared: a.shared, log: a.log}
	t.Cleanup(func() { _ = next.Close() })
	if got := reloaded.call(t, token); got.status != 200 {
		t.Errorf("after a reload while the issuer is down: got %+v, want 200", got)
	}
}

// A call that needs the keys of an issuer that is just starting waits through attempts that fail.
func TestACallWaitsForAnIssuerThatIsJustStarting(t *testing.T) {
	i := newIssuer(t)
	s := i.newSigner(t, "a", jose.ES256)
	i.set(func() { i.broken = true })
	a := i.jwtOf(t, nil)
	token := "Bearer " + i.forAPI(t, s, nil)
	answer := make(chan int, 1)
	go func() { answer <- a.call(t, token).status }()
	issuer := a.issuer()
	testkit.Eventually(t, "a second attempt that fails", func() bool {
		issuer.mu.Lock()
		defer issuer.mu.Unlock()
		return issuer.failed >= 2
	})
	i.set(func() { i.broken = false })
	if got := testkit.Await(t, "the answer", answer); got != 200 {
		t.Errorf("got %d, want 200", got)
	}
}

// An issuer that starts beside watchdogd is there after a moment; one that stays away is not asked
// more often than it was meant to be.
func TestAnIssuerThatIsDownIsAskedLessAndLessOften(t *testing.T) {
	i := &issuer{retry: keysRetry}
	var got []time.Duration
	for i.failed = range 8 {
		got = append(got, i.untilRetry())
	}
	const ms = time.Millisecond
	if want := []time.Duration{250 * ms, 250 * ms, 500 * ms, 1000 * ms, 2000 * ms, 4000 * ms, keysRetry, keysRetry}; !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	i.failed = 1_000_000
	if got := i.untilRetry(); got != keysRetry {
		t.Errorf("after very many attempts: got %v, want %v", got, keysRetry)
	}
}

func TestAnIssuerThatHangsIsWaitedForWithABound(t *testing.T) {
	began := time.Now()
	hang := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }))
	t.Cleanup(hang.Close)
	i := newIssuer(t)
	s := i.newSigner(t, "a", jose.ES256)
	i.URL = hang.URL
	a := i.jwtOf(t, nil)
	if took := time.Since(began); took > testkit.Patience/2 {
		t.Errorf("the start took %v, want it not to wait", took)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	r := httptest.NewRequest("GET", "/", nil).WithContext(ctx)
	r.Header.Set("Authorization", "Bearer "+i.forAPI(t, s, nil))
	if got := a.ask(t, r); got.status != 499 {
		t.Errorf("a client that has left: got %+v, want none to wait for it", got)
	}
	a.issuer().waiting.Store(mostKeyWaits)
	if got := a.call(t, "Bearer "+i.forAPI(t, s, nil)); got.status != 503 {
		t.Errorf("too many waiting: got %+v, want 503", got)
	}
}

// The clock of the wait itself, without a network.
func TestACallWaitsForKeysForFiveSeconds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		i := &issuer{retry: keysRetry}
		i.done = make(chan struct{}) // an attempt that does not end
		began := time.Now()
		if set := i.after(t.Context(), nil); set != nil || time.Since(began) != keysWait {
			t.Errorf("got %v after %v, want no keys after %v", set, time.Since(began), keysWait)
		}
	})
}

func TestKeysOfAnUnreasonableIssuerAreRefused(t *testing.T) {
	i := newIssuer(t)
	s := i.newSigner(t, "a", jose.ES256)
	a := i.jwtOf(t, nil)
	token := "Bearer " + i.forAPI(t, s, nil)
	if got := a.call(t, token); got.status != 200 {
		t.Fatalf("got %+v, want 200", got)
	}
	key := i.public[0]
	for want, public := range map[string][]any{
		"it has 300 keys, more than 256": many(300, claims{"kty": "OKP"}),
		"it is too long":                 many(10000, key), // 1 MiB is read of it
	} {
		i.set(func() { i.public = public })
		if _, err := a.issuer().fetch(t.Context()); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %q", err, want)
		}
	}
	if got := a.call(t, token); got.status != 200 {
		t.Errorf("got %+v afterwards, want 200 by the keys that there were", got)
	}
}

func many(n int, key any) []any {
	all := make([]any, n)
	for i := range all {
		all[i] = key
	}
	return all
}

func TestADiscoveryOfAnotherNameIsAMistake(t *testing.T) {
	i := newIssuer(t)
	i.newSigner(t, "a", jose.ES256)
	a := i.jwtOf(t, func(a *schema.JWTAuth) { a.Issuer = i.URL + "/" })
	if _, err := a.issuer().fetch(t.Context()); err == nil || !strings.Contains(err.Error(), "auth.jwt.issuer must be the same, to the last slash") {
		t.Errorf("got %v, want a sentence on the name", err)
	}
}
