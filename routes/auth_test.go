package routes

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/golang-jwt/jwt/v5"

	"github.com/watchdogd/watchdogd/internal/testkit"
	"github.com/watchdogd/watchdogd/schema"
)

// issuer is an OpenFaaS gateway whose identity provider signs tokens.
type issuer struct {
	*httptest.Server
	mu     sync.Mutex
	public []any // the keys that it shows
	broken bool
	asked  int // how often for the keys
	agent  string
}

func newIssuer(t *testing.T) *issuer {
	t.Helper()
	i := &issuer{}
	i.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		i.mu.Lock()
		defer i.mu.Unlock()
		i.agent = r.UserAgent()
		switch {
		case i.broken:
			http.Error(w, "no", http.StatusBadGateway)
		case r.URL.Path == "/.well-known/openid-configuration":
			_ = json.NewEncoder(w).Encode(map[string]string{"issuer": i.URL, "jwks_uri": i.URL + "/keys"})
		case r.URL.Path == "/keys":
			i.asked++
			_ = json.NewEncoder(w).Encode(map[string]any{"keys": i.public})
		default:
			http.NotFound(w, r)
		}
	}))
	t.Cleanup(i.Close)
	return i
}

// set changes what the issuer is.
func (i *issuer) set(change func()) {
	i.mu.Lock()
	defer i.mu.Unlock()
	change()
}

// signer is a private key.
type signer struct {
	kid    string
	method jwt.SigningMethod
	key    crypto.Signer
}

// newSigner makes a key that the issuer shows from now on.
func (i *issuer) newSigner(t *testing.T, kid string, method jwt.SigningMethod, extra ...string) *signer {
	t.Helper()
	var key crypto.Signer
	var err error
	switch method.Alg()[:2] {
	case "RS", "PS":
		key, err = rsa.GenerateKey(rand.Reader, 2048)
	case "ES":
		key, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	default:
		_, key, err = ed25519.GenerateKey(rand.Reader)
	}
	if err != nil {
		t.Fatal(err)
	}
	shown := jose.JSONWebKey{Key: key.Public(), KeyID: kid}
	for n := 0; n < len(extra); n += 2 {
		switch extra[n] {
		case "alg":
			shown.Algorithm = extra[n+1]
		case "use":
			shown.Use = extra[n+1]
		}
	}
	i.set(func() { i.public = append(i.public, shown) })
	return &signer{kid, method, key}
}

// sign makes a token of the issuer that is good but for what change does.
func (i *issuer) sign(t *testing.T, s *signer, change func(c jwt.MapClaims)) string {
	t.Helper()
	c := jwt.MapClaims{"iss": i.URL, "aud": []string{i.URL}, "sub": "ann", "exp": time.Now().Add(time.Hour).Unix(),
		"function": map[string]any{"permissions": []string{"dev:env"}}}
	if change != nil {
		change(c)
	}
	token := jwt.NewWithClaims(s.method, c)
	token.Header["kid"] = s.kid
	text, err := token.SignedString(s.key)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// guarded serves a route that only those with the issuer's tokens may call.
func (i *issuer) guarded(t *testing.T, adjust func(k *keyring), change ...func(r *schema.Route)) *front {
	t.Helper()
	route := &schema.Route{Name: "f", Path: "/", Auth: schema.Auth{OpenFaaS: &schema.OpenFaaSAuth{Gateway: i.URL + "/", Function: "dev:env", Debug: true}}}
	for _, c := range change {
		c(route)
	}
	f := serve(t)
	auth := NewAuth(route, slog.New(slog.NewJSONHandler(f.log, nil)))
	t.Cleanup(func() { _ = auth.Close() })
	if adjust != nil {
		adjust(auth.keys)
	}
	if err := auth.Fetch(t.Context()); err != nil {
		t.Fatal(err)
	}
	f.live.Swap(NewTable([]Entry{{Route: route, Auth: auth, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.WriteString(w, "answered "+strings.Join(r.Header["X-Auth-Seconds"], ","))
	})}}, f.options))
	return f
}

// call calls with an Authorization header.
func (f *front) call(authorization string) (*http.Response, string) {
	r := f.request("GET", "/", nil)
	r.Header.Set("X-Auth-Seconds", "9")
	if authorization != "" {
		r.Header.Set("Authorization", authorization)
	}
	return f.do(r)
}

func TestTokensOfTheIssuerAreAdmitted(t *testing.T) {
	i := newIssuer(t)
	for _, method := range []jwt.SigningMethod{jwt.SigningMethodRS256, jwt.SigningMethodPS512, jwt.SigningMethodES256, jwt.SigningMethodEdDSA} {
		i.newSigner(t, method.Alg(), method)
	}
	signers := []*signer{}
	i.set(func() { i.public = append(i.public, map[string]string{"kty": "XYZ", "kid": "of the future"}) })
	for _, method := range []jwt.SigningMethod{jwt.SigningMethodRS384, jwt.SigningMethodPS256, jwt.SigningMethodES256, jwt.SigningMethodEdDSA} {
		signers = append(signers, i.newSigner(t, "mine "+method.Alg(), method, "alg", method.Alg(), "use", "sig"))
	}
	f := i.guarded(t, nil)
	for _, s := range signers {
		token := i.sign(t, s, nil)
		for _, authorization := range []string{"Bearer " + token, token, "bearer " + token} {
			resp, body := f.call(authorization)
			var seconds string
			if seconds, _ = strings.CutPrefix(body, "answered "); resp.StatusCode != 200 || seconds == "9" || !strings.Contains(seconds, "0.") || strings.Contains(seconds, ",") {
				t.Errorf("%s: got %d %q %v %v %v, want 200, other than 9, %q in it and no %q in it", s.kid, resp.StatusCode, body, seconds, seconds, seconds, "0.", ",")
			}
		}
	}
	if i.agent != "openfaas-watchdog" {
		t.Errorf(`asked as %q, want "openfaas-watchdog"`, i.agent)
	}
}

func TestWhatIsNoValidTokenIs401(t *testing.T) {
	i := newIssuer(t)
	mine := i.newSigner(t, "a", jwt.SigningMethodRS256)
	encrypts := i.newSigner(t, "b", jwt.SigningMethodRS256, "use", "enc")
	bound := i.newSigner(t, "c", jwt.SigningMethodPS256, "alg", "RS256")
	other := &signer{"a", mine.method, newIssuer(t).newSigner(t, "a", jwt.SigningMethodRS256).key}
	secret := []byte("a secret of some length, shared by mistake")
	i.set(func() { i.public = append(i.public, jose.JSONWebKey{Key: secret, KeyID: "s"}) })
	hmac := func(kid string, key []byte) string {
		token := jwt.NewWithClaims(jwt.SigningMethodHS256, jwt.MapClaims{"iss": i.URL, "aud": i.URL, "exp": time.Now().Add(time.Hour).Unix()})
		token.Header["kid"] = kid
		text, err := token.SignedString(key)
		if err != nil {
			t.Fatal(err)
		}
		return text
	}
	der, err := x509.MarshalPKIXPublicKey(mine.key.Public())
	if err != nil {
		t.Fatal(err)
	}
	none := jwt.NewWithClaims(jwt.SigningMethodNone, jwt.MapClaims{"iss": i.URL, "aud": i.URL, "exp": time.Now().Add(time.Hour).Unix()})
	none.Header["kid"] = "a"
	unsigned, err := none.SignedString(jwt.UnsafeAllowNoneSignatureType)
	if err != nil {
		t.Fatal(err)
	}
	good := i.sign(t, mine, nil)
	without := func(claim string) string { return i.sign(t, mine, func(c jwt.MapClaims) { delete(c, claim) }) }
	with := func(claim string, value any) string {
		return i.sign(t, mine, func(c jwt.MapClaims) { c[claim] = value })
	}
	critical := func(value any) string {
		token := jwt.NewWithClaims(mine.method, jwt.MapClaims{"iss": i.URL, "aud": i.URL, "exp": time.Now().Add(time.Hour).Unix(),
			"function": map[string]any{"permissions": []string{"dev:env"}}})
		token.Header["kid"], token.Header["crit"] = mine.kid, value
		text, err := token.SignedString(mine.key)
		if err != nil {
			t.Fatal(err)
		}
		return text
	}
	f := i.guarded(t, nil)
	for name, token := range map[string]string{
		"words":                      "no token",
		"another's key":              i.sign(t, other, nil),
		"a key for encryption":       i.sign(t, encrypts, nil),
		"another algorithm":          i.sign(t, bound, nil),
		"a shared secret":            hmac("s", secret),
		"the public key as a secret": hmac("a", pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})),
		"no signature":               unsigned,
		"no kid":                     i.sign(t, &signer{"", mine.method, mine.key}, nil),
		"a changed signature":        good[:len(good)-6] + "AAAAAA",
		"expired":                    with("exp", time.Now().Add(-3*time.Second).Unix()),
		"no end":                     without("exp"),
		"not yet":                    with("nbf", time.Now().Add(time.Minute).Unix()),
		"another issuer":             with("iss", "http://elsewhere"),
		"no issuer":                  without("iss"),
		"another audience":           with("aud", "http://elsewhere"),
		"no audience":                without("aud"),
		"an end that is a string":    with("exp", fmt.Sprint(time.Now().Add(time.Hour).Unix())),
		"a begin that is a string":   with("nbf", "1"),
		"a birth that is a string":   with("iat", "1"),
		"an unknown extension":       critical([]string{"b64"}),
		"extensions of no kind":      critical("exp"),
		"permissions of no kind":     with("function", "dev:env"),
	} {
		resp, body := f.call("Bearer " + token)
		if resp.StatusCode != 401 || !strings.HasPrefix(body, "401  failed to parse JWT token: ") || resp.Header.Get("Www-Authenticate") != "Bearer realm=IAM function invoke" {
			t.Errorf("%s: got %d %q %v, want 401, %q at its start and Www-Authenticate %q", name, resp.StatusCode, body, resp.Header, "401  failed to parse JWT token: ", "Bearer realm=IAM function invoke")
		}
		for _, part := range strings.Split(token, ".") {
			if part != "" && (strings.Contains(body, part) || strings.Contains(f.log.String(), part)) {
				t.Errorf("%s: a part of the token is told", name)
			}
		}
	}
	if resp, body := f.call(""); body != "401  Bearer must be present in Authorization header" || resp.StatusCode != 401 {
		t.Errorf(`no token: got %d %q, want 401 "401  Bearer must be present in Authorization header"`, resp.StatusCode, body)
	}
}

func TestPermissionsNameTheWholeFunction(t *testing.T) {
	for _, c := range []struct {
		patterns string
		want     bool
	}{
		{"dev:env", true}, {"*", true}, {"dev:*", true}, {"*:env", true}, {"d*:e*v", true}, {"*dev:env*", true}, {"other dev:env", true}, {"**", true}, {"*e*v*:*e*v*", true},
		{"dev:env2", false}, {"xdev:env", false}, {"dev:en", false}, {"ev:env", false}, {"dev", false}, {"env", false}, {".*", false}, {"dev.env", false},
		{"DEV:ENV", false}, {"dev:env*x", false}, {"*x", false}, {"dev:env:*", false}, {"dev:*env*env", false}, {"", false},
	} {
		if got := anyMatches(strings.Fields(c.patterns), "dev:env"); got != c.want {
			t.Errorf("%q: got %v, want %v", c.patterns, got, c.want)
		}
	}
	for _, name := range []string{"dev:env2", "xdev:env", "dev:env:dev:env"} {
		if matches("dev:env", name) {
			t.Errorf("dev:env admits %s", name)
		}
	}
	if matches("a*a", "a") || !matches("a*a", "aa") || !matches("a*b*a", "aabba") || matches("a*bb*a", "aba") {
		t.Error("a * takes what belongs to another part")
	}
}

func TestWhoHasNoPermissionIs403(t *testing.T) {
	i := newIssuer(t)
	s := i.newSigner(t, "a", jwt.SigningMethodES256)
	f := i.guarded(t, nil)
	for _, c := range []struct {
		permissions, audience []string
		want                  int
	}{
		{[]string{"dev:env"}, nil, 200},
		{[]string{"dev:env"}, []string{}, 200},
		{[]string{"dev:env"}, []string{"dev:*"}, 200},
		{[]string{"dev:env"}, []string{"dev:other"}, 403},
		{[]string{"dev:env2", "xdev:env"}, nil, 403},
		{nil, nil, 403},
		{nil, []string{"dev:env"}, 403},
		{[]string{""}, nil, 403},
	} {
		token := i.sign(t, s, func(claims jwt.MapClaims) {
			claims["function"] = map[string]any{"permissions": c.permissions, "audience": c.audience}
		})
		resp, body := f.call("Bearer " + token)
		if resp.StatusCode != c.want || c.want == 403 && body != "403  insufficient permissions" || resp.Header.Get("Www-Authenticate") != "" {
			t.Errorf("%+v: %d %q", c, resp.StatusCode, body)
		}
	}
	token := i.sign(t, s, func(claims jwt.MapClaims) { delete(claims, "function") })
	if resp, _ := f.call("Bearer " + token); resp.StatusCode != 403 {
		t.Errorf("no claim at all: got %d, want 403", resp.StatusCode)
	}
	if !f.log.has("token refused") || !strings.Contains(f.log.String(), "it does not name this function") {
		t.Errorf("debug logs no reason: %s", f.log)
	}
}

func TestRefusedCallsTakeNoPlaceAndNoRate(t *testing.T) {
	i := newIssuer(t)
	s := i.newSigner(t, "a", jwt.SigningMethodES256)
	f := i.guarded(t, nil, func(r *schema.Route) { r.Limits.Rate = schema.Rate{PerSecond: 0.001, Burst: 1} })
	for range 3 {
		if resp, _ := f.call(""); resp.StatusCode != 401 {
			t.Fatalf("got %d, want 401", resp.StatusCode)
		}
	}
	if resp, _ := f.call(i.sign(t, s, nil)); resp.StatusCode != 200 {
		t.Errorf("got %d, want 200", resp.StatusCode)
	}
	if resp, _ := f.call(i.sign(t, s, nil)); resp.StatusCode != 429 {
		t.Errorf("got %d, want 429", resp.StatusCode)
	}
}

func TestNewKeysAreFetchedWhenTheyAreNamed(t *testing.T) {
	i := newIssuer(t)
	old := i.newSigner(t, "old", jwt.SigningMethodES256)
	f := i.guarded(t, func(k *keyring) { k.pause = 0 })
	i.set(func() { i.public = nil })
	fresh := i.newSigner(t, "fresh", jwt.SigningMethodES256)
	if resp, _ := f.call(i.sign(t, old, nil)); resp.StatusCode != 200 {
		t.Errorf("a known key: got %d, want 200", resp.StatusCode)
	}
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			if resp, body := f.call(i.sign(t, fresh, nil)); resp.StatusCode != 200 {
				t.Errorf("a fresh key: got %d %s, want 200", resp.StatusCode, body)
			}
		})
	}
	all.Wait()
	if resp, _ := f.call(i.sign(t, old, nil)); resp.StatusCode != 401 {
		t.Errorf("a key that was taken away: got %d, want 401", resp.StatusCode)
	}
}

func TestKeysAreNotFetchedAgainTooSoon(t *testing.T) {
	i := newIssuer(t)
	known := i.newSigner(t, "known", jwt.SigningMethodES256)
	f := i.guarded(t, nil)
	stranger := &signer{"stranger", known.method, known.key}
	for range 5 {
		if resp, _ := f.call(i.sign(t, stranger, nil)); resp.StatusCode != 401 {
			t.Errorf("got %d, want 401", resp.StatusCode)
		}
	}
	i.set(func() {
		if i.asked != 2 { // at the start, and for the first of the strangers
			t.Errorf("asked %d times, want 2", i.asked)
		}
	})
}

func TestOldKeysAreFetchedAgainAndHoldWhileThatFails(t *testing.T) {
	i := newIssuer(t)
	s := i.newSigner(t, "a", jwt.SigningMethodES256)
	f := i.guarded(t, func(k *keyring) { k.age, k.pause = 0, 0 })
	i.set(func() { i.broken = true })
	for end := time.Now().Add(testkit.Patience); !strings.Contains(f.log.String(), "cannot be refreshed"); {
		if resp, _ := f.call(i.sign(t, s, nil)); resp.StatusCode != 200 {
			t.Fatalf("got %d, want 200", resp.StatusCode)
		}
		if time.Now().After(end) {
			t.Fatalf("nobody asked again: %s", f.log)
		}
	}
	i.set(func() { i.broken, i.public = false, nil })
	other := i.newSigner(t, "b", jwt.SigningMethodES256)
	for end := time.Now().Add(testkit.Patience); ; {
		resp, _ := f.call(i.sign(t, s, nil))
		if resp.StatusCode == 401 {
			break
		}
		if time.Now().After(end) {
			t.Fatal("a key that was taken away is good for ever")
		}
	}
	if resp, _ := f.call(i.sign(t, other, nil)); resp.StatusCode != 200 {
		t.Errorf("got %d, want 200", resp.StatusCode)
	}
}

func TestAnIssuerWhoCannotBeAskedIsToldInASentence(t *testing.T) {
	answering := func(config, keys string) string {
		s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			text := config
			if r.URL.Path == "/keys" {
				text = keys
			}
			_, _ = io.WriteString(w, strings.ReplaceAll(text, "HERE", "http://"+r.Host))
		}))
		t.Cleanup(s.Close)
		return s.URL
	}
	gone := httptest.NewServer(nil)
	gone.Close()
	const about = `{"issuer": "HERE", "jwks_uri": "HERE/keys"}`
	for want, gateway := range map[string]string{
		"connection refused":                gone.URL,
		"invalid character '<'":             answering("<html>", ""),
		"names no issuer or no jwks_uri":    answering("{}", ""),
		"unexpected end of JSON":            answering(about, ""),
		"there is none at":                  answering(about, `{"keys": [{"kty": "oct", "kid": "s", "k": "c2VjcmV0"}, {"kty": "RSA"}, 7]}`),
		"it is too long":                    answering(about, strings.Repeat(" ", keysSize)),
		"unsupported protocol scheme \"ftp": answering(`{"issuer": "HERE", "jwks_uri": "ftp://x/keys"}`, ""),
	} {
		auth := NewAuth(&schema.Route{Name: "f", Auth: schema.Auth{OpenFaaS: &schema.OpenFaaSAuth{Gateway: gateway, Function: "a:b"}}}, slog.New(slog.DiscardHandler))
		if err := auth.Fetch(t.Context()); err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), "see that the gateway can be reached") {
			t.Errorf("%s: %v", want, err)
		}
		if err := auth.Close(); err != nil {
			t.Error(err)
		}
	}
	if NewAuth(&schema.Route{}, nil) != nil {
		t.Error("a route without auth asks for something")
	}
}

func TestCloseEndsAFetch(t *testing.T) {
	asked := make(chan struct{})
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		close(asked)
		<-r.Context().Done()
	}))
	t.Cleanup(s.Close)
	k := newKeyring(s.URL, slog.New(slog.DiscardHandler))
	set := newKeySet("x", nil)
	k.set.Store(set)
	done := k.refresh(set)
	<-asked
	k.close()
	select {
	case <-done:
	default:
		t.Error("it goes on after close")
	}
	if k.refresh(set) != nil {
		t.Error("another begins after close")
	}
}
