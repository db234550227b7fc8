package routes

import (
	"context"
	"crypto"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/golang-jwt/jwt/v5"
)

// keyring is the keys with which an issuer signs its tokens. They are fetched again
// when a token names one that is not known, and when a token comes and they are older
// than age; not more often than every pause. As long as that fails the former ones are
// good.
type keyring struct {
	gateway string
	client  http.Client
	log     *slog.Logger
	age     time.Duration
	pause   time.Duration
	set     atomic.Pointer[keySet]

	mu      sync.Mutex
	asked   time.Time          // when they were last fetched, or that was tried
	done    chan struct{}      // closed when what is being fetched is there or failed; nil when nothing is
	cancel  context.CancelFunc // ends it
	closed  bool
	fetches sync.WaitGroup
}

// keysTimeout bounds a fetch, and keysSize each of its two documents.
const (
	keysTimeout = 10 * time.Second
	keysSize    = 1 << 20
)

func newKeyring(gateway string, log *slog.Logger) *keyring {
	return &keyring{
		gateway: strings.TrimSuffix(gateway, "/"),
		client:  http.Client{Transport: &http.Transport{Proxy: http.ProxyFromEnvironment, DisableKeepAlives: true}},
		log:     log,
		age:     time.Hour,
		pause:   10 * time.Second,
	}
}

// current is the keys as they are known. When they are old others are fetched meanwhile.
func (k *keyring) current() *keySet {
	set := k.set.Load()
	if time.Since(set.at) > k.age {
		k.refresh(set)
	}
	return set
}

// after gives other keys than set, for a token that none of set has signed, or set
// when there are none. It waits for them until ctx ends.
func (k *keyring) after(ctx context.Context, set *keySet) *keySet {
	if done := k.refresh(set); done != nil {
		select {
		case <-done:
		case <-ctx.Done():
		}
	}
	return k.set.Load()
}

// refresh begins to fetch the keys that follow set, unless that goes on already, or it is too
// soon. What it gives is closed when they are there or it failed; nil is nothing to
// wait for.
func (k *keyring) refresh(set *keySet) <-chan struct{} {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.done != nil {
		return k.done
	}
	if k.closed || k.set.Load() != set || time.Since(k.asked) < k.pause {
		return nil
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	k.asked, k.done, k.cancel = time.Now(), done, cancel
	k.fetches.Go(func() {
		defer cancel()
		next, err := k.fetch(ctx)
		if err == nil {
			k.set.Store(next)
		} else {
			k.log.Warn("keys of the issuer cannot be refreshed, the former ones hold", "error", err)
		}
		k.mu.Lock()
		k.done, k.cancel = nil, nil
		k.mu.Unlock()
		close(done)
	})
	return done
}

// close returns when nothing is being fetched any more.
func (k *keyring) close() {
	k.mu.Lock()
	k.closed = true
	if k.cancel != nil {
		k.cancel()
	}
	k.mu.Unlock()
	k.fetches.Wait()
}

// fetch asks the gateway who issues its tokens and where the keys are, and gets those.
func (k *keyring) fetch(ctx context.Context) (*keySet, error) {
	ctx, cancel := context.WithTimeout(ctx, keysTimeout)
	defer cancel()
	const hint = "see that the gateway can be reached from here, and has its identity provider switched on"
	var about struct {
		Issuer string `json:"issuer"`
		JWKS   string `json:"jwks_uri"`
	}
	from := k.gateway + "/.well-known/openid-configuration"
	if err := k.get(ctx, from, &about); err != nil {
		return nil, fmt.Errorf("ask the gateway who issues its tokens: %w; %s", err, hint)
	}
	if about.Issuer == "" || about.JWKS == "" {
		return nil, fmt.Errorf("ask the gateway who issues its tokens: %s names no issuer or no jwks_uri; %s", from, hint)
	}
	var keys struct {
		Keys []json.RawMessage `json:"keys"`
	}
	if err := k.get(ctx, about.JWKS, &keys); err != nil {
		return nil, fmt.Errorf("get the keys of the issuer %s: %w; %s", about.Issuer, err, hint)
	}
	set := newKeySet(about.Issuer, keys.Keys)
	if len(set.keys) == 0 {
		return nil, fmt.Errorf("get the keys of the issuer %s: there is none at %s that can verify a signature; %s", about.Issuer, about.JWKS, hint)
	}
	return set, nil
}

// get reads the JSON at a URL into what. What is there is not told: it may be anything.
func (k *keyring) get(ctx context.Context, from string, what any) error {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, from, nil)
	if err != nil {
		return err
	}
	r.Header.Set("User-Agent", "openfaas-watchdog")
	r.Header.Set("Accept", "application/json")
	resp, err := k.client.Do(r)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("GET %s answers %s", from, resp.Status)
	}
	text, err := io.ReadAll(io.LimitReader(resp.Body, keysSize))
	if err == nil && len(text) == keysSize {
		err = errors.New("it is too long")
	}
	if err == nil {
		err = json.Unmarshal(text, what)
	}
	if err != nil {
		return fmt.Errorf("GET %s: %w", from, err)
	}
	return nil
}

// keySet is the keys of an issuer at one time. It never changes.
type keySet struct {
	at     time.Time
	keys   map[string]verifier // by kid
	parser *jwt.Parser
}

// verifier is a public key and the algorithm that it is for; empty is any of its kind.
type verifier struct {
	key       crypto.PublicKey
	algorithm string
}

// newKeySet takes those of keys that can verify a signature. Others may be of a kind that
// is not known here, or secrets.
func newKeySet(issuer string, keys []json.RawMessage) *keySet {
	set := &keySet{at: time.Now(), keys: map[string]verifier{}, parser: jwt.NewParser(
		// Those of public keys: with one of shared secrets the public key would be the secret.
		jwt.WithValidMethods([]string{"RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"}),
		jwt.WithIssuer(issuer), jwt.WithAudience(issuer), jwt.WithExpirationRequired(), jwt.WithLeeway(time.Second),
	)}
	for _, text := range keys {
		var k jose.JSONWebKey
		if json.Unmarshal(text, &k) != nil {
			continue
		}
		if public := k.Public(); public.Valid() && (k.Use == "" || k.Use == "sig") && set.keys[k.KeyID].key == nil {
			set.keys[k.KeyID] = verifier{public.Key, k.Algorithm}
		}
	}
	return set
}

// errUnknownKey is why a token cannot be verified whose key is not in the set.
var errUnknownKey = errors.New("the issuer has no key of the token's kid")

// parse verifies a token and reads its claims.
func (s *keySet) parse(token string, c *claims) error {
	_, err := s.parser.ParseWithClaims(token, c, func(t *jwt.Token) (any, error) {
		if _, critical := t.Header["crit"]; critical {
			return nil, errors.New("the token has critical extensions (crit), and none is known here") // RFC 7515, 4.1.11
		}
		kid, _ := t.Header["kid"].(string)
		v, ok := s.keys[kid]
		switch {
		case !ok:
			return nil, errUnknownKey
		case v.algorithm != "" && v.algorithm != t.Method.Alg():
			return nil, errors.New("the token's algorithm is not that of its key")
		}
		return v.key, nil
	})
	return err
}
