package auth

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"sync"
	"sync/atomic"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
)

// issuer is who signs tokens, and the keys that it signs with. They are fetched when a token
// comes and there are none, at most once in a time that doubles from keysFirst to retry; again when
// a token names a key that is not among them, at most once in pause; and when they are older than
// age. While that fails the present ones stay in use.
//
// Routes with the same issuer share one, and so do the configurations before and after a reload.
type issuer struct {
	issuerConfig
	log     *slog.Logger
	client  http.Client
	age     time.Duration
	retry   time.Duration // the most between two attempts while there are no keys
	set     atomic.Pointer[keySet]
	waiting atomic.Int32

	mu      sync.Mutex
	users   int                // checks that use it
	fetched time.Time          // when keys were last fetched
	tried   time.Time          // when that was last tried
	failed  int                // attempts in a row
	asked   time.Time          // when it was last tried for a key that is unknown
	said    time.Time          // when a failure was last logged
	last    error              // of the last attempt
	done    chan struct{}      // closed when the attempt under way has ended; nil without one
	cancel  context.CancelFunc // ends it
	closed  bool
	fetches sync.WaitGroup
}

// issuerConfig is what makes two issuers the same.
type issuerConfig struct {
	url      string // where it is discovered
	jwks     string // where its keys are; empty is where the discovery says
	anyName  bool   // it may call itself by another URL than the one where it is discovered
	pause    time.Duration
	agent    string
	failHint string
}

const (
	fetchTimeout = 10 * time.Second // of discovery and keys together
	fetchSize    = 1 << 20          // of each of the two documents
	keysAge      = time.Hour
	keysFirst    = 250 * time.Millisecond // an issuer that starts with this stack is there soon
	keysRetry    = 5 * time.Second
	keysSoon     = time.Second     // how long a call waits for the next attempt to begin
	keysWait     = 5 * time.Second // how long a call waits for keys
	mostKeyWaits = 256             // calls that wait for keys
	sayEvery     = time.Minute
)

// issuers are those in use.
type issuers struct {
	mu   sync.Mutex
	list map[issuerConfig]*issuer
}

// use returns the issuer of c. Each use ends with leave.
func (all *issuers) use(c issuerConfig, log *slog.Logger) *issuer {
	all.mu.Lock()
	defer all.mu.Unlock()
	i := all.list[c]
	if i == nil {
		i = &issuer{issuerConfig: c, log: log, age: keysAge, retry: keysRetry}
		i.client.Transport = &bounded{agent: c.agent, next: &http.Transport{Proxy: http.ProxyFromEnvironment, DisableKeepAlives: true}}
		if all.list == nil {
			all.list = map[issuerConfig]*issuer{}
		}
		all.list[c] = i
	}
	i.users++
	return i
}

// leave returns when nothing is being fetched any more, if i has no other user.
func (all *issuers) leave(i *issuer) {
	all.mu.Lock()
	i.users--
	last := i.users == 0
	if last {
		delete(all.list, i.issuerConfig)
	}
	all.mu.Unlock()
	if last {
		i.close()
	}
}

// start has the keys fetched, for a configuration that was just read.
func (i *issuer) start() {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.begin()
}

// current returns the keys as they are known, and has them fetched meanwhile if they are old.
func (i *issuer) current() *keySet {
	set := i.set.Load()
	if set == nil {
		return nil
	}
	i.mu.Lock()
	defer i.mu.Unlock()
	if time.Since(i.fetched) > i.age && time.Since(i.tried) > i.pause {
		i.begin()
	}
	return set
}

// after returns other keys than set, for a token that none of set has signed, or set when there
// are none. It waits for them, until ctx ends or keysWait is over, but not for an attempt that is
// not due within keysSoon.
func (i *issuer) after(ctx context.Context, set *keySet) *keySet {
	done, due := i.refresh(set)
	if done == nil && due == 0 {
		return i.set.Load()
	}
	defer i.waiting.Add(-1)
	if i.waiting.Add(1) > mostKeyWaits {
		return i.set.Load()
	}
	timer := time.NewTimer(keysWait)
	defer timer.Stop()
	for done != nil || due > 0 {
		var again <-chan time.Time
		if done == nil {
			again = time.After(due)
		}
		select {
		case <-done:
			if newer := i.set.Load(); newer != nil {
				return newer
			}
			done, due = i.refresh(set)
		case <-again:
			done, due = i.refresh(set)
		case <-timer.C:
			return i.set.Load()
		case <-ctx.Done():
			return i.set.Load()
		}
	}
	return i.set.Load()
}

// refresh begins to fetch the keys that follow set, unless that is under way already, or it is
// too soon. The channel is closed when the attempt has ended; it is nil if there is nothing to wait
// for, but when it is only too soon for the first keys, due is when it will not be.
func (i *issuer) refresh(set *keySet) (done <-chan struct{}, due time.Duration) {
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.done != nil {
		return i.done, 0
	}
	if i.closed || i.set.Load() != set {
		return nil, 0
	}
	if set != nil {
		if time.Since(i.asked) < i.pause {
			return nil, 0
		}
		i.asked = time.Now()
		return i.begin(), 0
	}
	if due := i.untilRetry() - time.Since(i.tried); due > keysSoon {
		return nil, 0
	} else if due > 0 {
		return nil, due
	}
	return i.begin(), 0
}

// untilRetry is the time between an attempt that failed and the next one. i.mu is held.
func (i *issuer) untilRetry() time.Duration {
	return min(keysFirst<<min(max(i.failed-1, 0), 10), i.retry)
}

// begin has the keys fetched, unless that is under way. i.mu is held.
func (i *issuer) begin() <-chan struct{} {
	if i.done != nil || i.closed {
		return i.done
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	i.tried, i.done, i.cancel = time.Now(), done, cancel
	i.fetches.Go(func() {
		defer cancel()
		next, err := i.fetch(ctx)
		i.mu.Lock()
		defer i.mu.Unlock()
		i.took(ctx, next, err)
		i.done, i.cancel = nil, nil
		close(done)
	})
	return done
}

// took notes how an attempt ended. i.mu is held.
func (i *issuer) took(ctx context.Context, next *keySet, err error) {
	had := i.set.Load()
	failed := i.last
	i.last = err
	if i.failed++; err == nil {
		i.failed = 0
	}
	switch {
	case ctx.Err() != nil: // closed
	case err == nil:
		i.fetched = time.Now()
		if had == nil || !had.equal(next) {
			i.set.Store(next)
		}
		if failed != nil {
			i.log.Info("the keys of the issuer were fetched", "issuer", i.name())
		}
	case failed != nil && time.Since(i.said) < sayEvery:
	default:
		i.said = time.Now()
		text := "keys of the issuer cannot be refreshed; the present ones stay in use"
		if had == nil {
			text = "keys of the issuer cannot be fetched; calls that need them are answered 503 until they can"
		}
		i.log.Warn(text, "issuer", i.name(), "error", err)
	}
}

// name is the issuer as an operator knows it.
func (i *issuer) name() string {
	if i.url == "" {
		return redacted(i.jwks)
	}
	return redacted(i.url)
}

// reason is why there are no keys.
func (i *issuer) reason() error {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.last
}

// fetchNow fetches the keys and waits for them.
func (i *issuer) fetchNow(ctx context.Context) error {
	if i.set.Load() != nil {
		i.start()
		return nil
	}
	i.mu.Lock()
	done := i.begin()
	i.mu.Unlock()
	if done != nil {
		select {
		case <-done:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	if i.set.Load() == nil {
		return i.reason()
	}
	return nil
}

// close returns when nothing is being fetched any more.
func (i *issuer) close() {
	i.mu.Lock()
	i.closed = true
	if i.cancel != nil {
		i.cancel()
	}
	i.mu.Unlock()
	i.fetches.Wait()
}

// fetch asks the issuer for its name and the place of its keys, and gets those.
func (i *issuer) fetch(ctx context.Context) (*keySet, error) {
	ctx, cancel := context.WithTimeout(oidc.ClientContext(ctx, &i.client), fetchTimeout)
	defer cancel()
	name, from := i.url, i.jwks
	if from == "" {
		discover := ctx
		if i.anyName {
			discover = oidc.InsecureIssuerURLContext(ctx, i.url)
		}
		provider, err := oidc.NewProvider(discover, i.url)
		if err != nil {
			return nil, fmt.Errorf("ask the issuer at %s where its keys are: %w; %s", redacted(i.url), explained(err), i.failHint)
		}
		var about struct {
			Issuer string `json:"issuer"`
			JWKS   string `json:"jwks_uri"`
		}
		if err := provider.Claims(&about); err != nil || about.Issuer == "" || about.JWKS == "" {
			return nil, fmt.Errorf("ask the issuer at %s where its keys are: it names no issuer or no jwks_uri; %s", redacted(i.url), i.failHint)
		}
		name, from = about.Issuer, about.JWKS
	}
	text, err := i.get(ctx, from)
	if err != nil {
		return nil, fmt.Errorf("get the keys of the issuer %s: %w; %s", redacted(name), err, i.failHint)
	}
	set, err := newKeySet(name, text)
	if err != nil {
		return nil, fmt.Errorf("get the keys of the issuer %s: GET %s: %w; %s", redacted(name), redacted(from), err, i.failHint)
	}
	return set, nil
}

// get returns the document at a URL.
func (i *issuer) get(ctx context.Context, from string) ([]byte, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, from, nil)
	if err != nil {
		return nil, err
	}
	resp, err := i.client.Do(r)
	if err != nil {
		return nil, explained(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		return nil, fmt.Errorf("GET %s: %w", redacted(from), err)
	}
	return text, nil
}

// explained says in a sentence what go-oidc and net/http report.
func explained(err error) error {
	if mismatch, ok := errors.AsType[*oidc.IssuerMismatchError](err); ok {
		return fmt.Errorf("it calls itself %q; auth.jwt.issuer must be the same, to the last slash", mismatch.Discovered)
	}
	if errors.Is(err, context.DeadlineExceeded) {
		return fmt.Errorf("no answer within %s", fetchTimeout)
	}
	return err
}

// redacted is a URL without its password.
func redacted(text string) string {
	u, err := url.Parse(text)
	if err != nil {
		return text
	}
	return u.Redacted()
}

// bounded is a transport for small documents: another status than 200 is an error, without the
// body, which may hold anything, and a body that is too long is one.
type bounded struct {
	agent string
	next  http.RoundTripper
}

// RoundTrip implements http.RoundTripper.
func (b *bounded) RoundTrip(r *http.Request) (*http.Response, error) {
	r = r.Clone(r.Context())
	r.Header.Set("User-Agent", b.agent)
	r.Header.Set("Accept", "application/json")
	resp, err := b.next.RoundTrip(r)
	if err != nil {
		return nil, err
	}
	redirect := resp.StatusCode/100 == 3 && resp.Header.Get("Location") != ""
	if resp.StatusCode != http.StatusOK && !redirect {
		_ = resp.Body.Close() // it is not read
		return nil, fmt.Errorf("the answer is %s", resp.Status)
	}
	resp.Body = &document{ReadCloser: resp.Body, left: fetchSize}
	return resp, nil
}

// document is a body of bounded length.
type document struct {
	io.ReadCloser
	left int
}

// Read implements io.Reader.
func (d *document) Read(p []byte) (int, error) {
	if d.left <= 0 {
		return 0, fmt.Errorf("it is too long: more than %d bytes", fetchSize)
	}
	n, err := d.ReadCloser.Read(p[:min(len(p), d.left)])
	d.left -= n
	return n, err
}
