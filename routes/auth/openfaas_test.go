package auth

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/hmac"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/watchdogd/watchdogd/internal/testkit"
	"github.com/watchdogd/watchdogd/schema"
)

// issuerServer is an OpenFaaS gateway whose identity provider signs tokens.
type issuerServer struct {
	*httptest.Server
	mu     sync.Mutex
	public []any // the keys that it shows
	broken bool
	asked  int // how often for the keys
	agent  string
}

func newIssuer(t testing.TB) *issuerServer {
	t.Helper()
	i := &issuerServer{}
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
func (i *issuerServer) set(change func()) {
	i.mu.Lock()
	defer i.mu.Unlock()
	change()
}

// signer is a private key.
type signer struct {
	kid       string
	algorithm jose.SignatureAlgorithm
	key       crypto.Signer
}

// newSigner makes a key that the issuer shows from now on.
func (i *issuerServer) newSigner(t testing.TB, kid string, algorithm jose.SignatureAlgorithm, extra ...string) *signer {
	t.Helper()
	var key crypto.Signer
	var err error
	switch algorithm {
	case jose.ES256:
		key, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	case jose.ES384:
		key, err = ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	case jose.ES512:
		key, err = ecdsa.GenerateKey(elliptic.P521(), rand.Reader)
	case jose.EdDSA:
		_, key, err = ed25519.GenerateKey(rand.Reader)
	default:
		key, err = rsa.GenerateKey(rand.Reader, 2048)
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
	return &signer{kid, algorithm, key}
}

// claims are what a token says.
type claims = map[string]any

// sign makes a token of the issuer that is good but for what change does.
func (i *issuerServer) sign(t testing.TB, s *signer, change func(c claims)) string {
	t.Helper()
	c := claims{"iss": i.URL, "aud": []string{i.URL}, "sub": "ann", "exp": time.Now().Add(time.Hour).Unix(),
		"function": map[string]any{"permissions": []string{"dev:env"}}}
	if change != nil {
		change(c)
	}
	return s.token(t, c, nil)
}

// token signs claims, with more fields in the header.
func (s *signer) token(t testing.TB, c claims, header map[string]any) string {
	t.Helper()
	head := claims{"alg": string(s.algorithm), "typ": "JWT"}
	if s.kid != "" {
		head["kid"] = s.kid
	}
	maps.Copy(head, header)
	text := part(t, head) + "." + part(t, c)
	return text + "." + base64.RawURLEncoding.EncodeToString(s.signature(t, text))
}

// part is a part of a token.
func part(t testing.TB, v any) string {
	t.Helper()
	text, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return base64.RawURLEncoding.EncodeToString(text)
}

// signature signs text.
func (s *signer) signature(t testing.TB, text string) []byte {
	t.Helper()
	hash := map[string]crypto.Hash{"256": crypto.SHA256, "384": crypto.SHA384, "512": crypto.SHA512}[string(s.algorithm[2:])]
	sum := []byte(text)
	if hash != 0 {
		h := hash.New()
		h.Write(sum)
		sum = h.Sum(nil)
	}
	var options crypto.SignerOpts = hash
	if strings.HasPrefix(string(s.algorithm), "PS") {
		options = &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash, Hash: hash}
	}
	if key, ok := s.key.(*ecdsa.PrivateKey); ok {
		r, v, err := ecdsa.Sign(rand.Reader, key, sum)
		if err != nil {
			t.Fatal(err)
		}
		size := (key.Params().BitSize + 7) / 8
		return append(r.FillBytes(make([]byte, size)), v.FillBytes(make([]byte, size))...)
	}
	signature, err := s.key.Sign(rand.Reader, sum, options)
	if err != nil {
		t.Fatal(err)
	}
	return signature
}

// guarded is the Check of a route that only those with the issuer's tokens may call.
func (i *issuerServer) guarded(t *testing.T, adjust func(i *issuer)) *asked {
	t.Helper()
	route := &schema.Route{Name: "f", Path: "/", Auth: schema.Auth{OpenFaaS: &schema.OpenFaaSAuth{Gateway: i.URL + "/", Function: "dev:env", Debug: true}}}
	a := newAsked(t, route)
	if adjust != nil {
		adjust(a.check.kind.(*openFaaS).tokens.issuer)
	}
	if err := a.check.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	return a
}

func TestTokensOfTheIssuerAreAdmitted(t *testing.T) {
	i := newIssuer(t)
	for _, method := range []jose.SignatureAlgorithm{jose.RS256, jose.PS512, jose.ES256, jose.EdDSA} {
		i.newSigner(t, string(method), method)
	}
	signers := []*signer{}
	i.set(func() { i.public = append(i.public, map[string]string{"kty": "XYZ", "kid": "of the future"}) })
	for _, method := range []jose.SignatureAlgorithm{jose.RS384, jose.PS256, jose.ES256, jose.EdDSA} {
		signers = append(signers, i.newSigner(t, "mine "+string(method), method, "alg", string(method), "use", "sig"))
	}
	f := i.guarded(t, nil)
	for _, s := range signers {
		token := i.sign(t, s, nil)
		for _, authorization := range []string{"Bearer " + token, token, "bearer " + token} {
			got := f.call(t, authorization)
			seconds := got.header["X-Auth-Seconds"]
			if got.status != 200 || got.user != "ann" || len(seconds) != 1 || !strings.HasPrefix(seconds[0], "0.") {
				t.Errorf("%s: got %+v, want 200, the user ann and the time that it took", s.kid, got)
			}
		}
	}
	if i.agent != "openfaas-watchdog" {
		t.Errorf(`asked as: got %q, want "openfaas-watchdog"`, i.agent)
	}
}

func TestAnInvalidTokenIs401(t *testing.T) {
	i := newIssuer(t)
	mine := i.newSigner(t, "a", jose.RS256)
	encrypts := i.newSigner(t, "b", jose.RS256, "use", "enc")
	bound := i.newSigner(t, "c", jose.PS256, "alg", "RS256")
	other := &signer{"a", mine.algorithm, newIssuer(t).newSigner(t, "a", jose.RS256).key}
	secret := []byte("a secret of some length, shared by mistake")
	i.set(func() { i.public = append(i.public, jose.JSONWebKey{Key: secret, KeyID: "s"}) })
	hmacToken := func(kid string, key []byte) string {
		text := part(t, claims{"alg": "HS256", "typ": "JWT", "kid": kid}) + "." + part(t, claims{"iss": i.URL, "aud": i.URL, "exp": time.Now().Add(time.Hour).Unix()})
		h := hmac.New(sha256.New, key)
		h.Write([]byte(text))
		return text + "." + base64.RawURLEncoding.EncodeToString(h.Sum(nil))
	}
	der, err := x509.MarshalPKIXPublicKey(mine.key.Public())
	if err != nil {
		t.Fatal(err)
	}
	unsigned := part(t, claims{"alg": "none", "typ": "JWT", "kid": "a"}) + "." + part(t, claims{"iss": i.URL, "aud": i.URL, "exp": time.Now().Add(time.Hour).Unix()}) + "."
	good := i.sign(t, mine, nil)
	without := func(claim string) string { return i.sign(t, mine, func(c claims) { delete(c, claim) }) }
	with := func(claim string, value any) string {
		return i.sign(t, mine, func(c claims) { c[claim] = value })
	}
	critical := func(value any) string {
		return mine.token(t, claims{"iss": i.URL, "aud": i.URL, "exp": time.Now().Add(time.Hour).Unix(),
			"function": map[string]any{"permissions": []string{"dev:env"}}}, claims{"crit": value})
	}
	f := i.guarded(t, nil)
	for name, token := range map[string]string{
		"words":                      "no token",
		"another's key":              i.sign(t, other, nil),
		"a key for encryption":       i.sign(t, encrypts, nil),
		"another algorithm":          i.sign(t, bound, nil),
		"a shared secret":            hmacToken("s", secret),
		"the public key as a secret": hmacToken("a", pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})),
		"no signature":               unsigned,
		"no kid":                     i.sign(t, &signer{"", mine.algorithm, mine.key}, nil),
		"a changed signature":        good[:len(good)-6] + "AAAAAA",
		"expired":                    with("exp", time.Now().Add(-3*time.Second).Unix()),
		"no end":                     without("exp"),
		"not yet":                    with("nbf", time.Now().Add(time.Hour).Unix()),
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
		got := f.call(t, "Bearer "+token)
		if got.status != 401 || !strings.HasPrefix(got.detail, "failed to parse JWT token: ") || got.challenge != "Bearer realm=IAM function invoke" {
			t.Errorf("%s: got %+v, want 401 and why", name, got)
		}
		for part := range strings.SplitSeq(token, ".") {
			if part != "" && (strings.Contains(got.detail, part) || strings.Contains(f.log.String(), part)) {
				t.Errorf("%s: got a part of the token in the answer or the log, want none", name)
			}
		}
	}
	if got := f.call(t, ""); got.detail != "Bearer must be present in Authorization header" || got.status != 401 {
		t.Errorf("no token: got %+v, want 401", got)
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

func TestATokenWithoutPermissionIs403(t *testing.T) {
	i := newIssuer(t)
	s := i.newSigner(t, "a", jose.ES256)
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
		token := i.sign(t, s, func(claims claims) {
			claims["function"] = map[string]any{"permissions": c.permissions, "audience": c.audience}
		})
		got := f.call(t, "Bearer "+token)
		if got.status != c.want || c.want == 403 && got.detail != "insufficient permissions" || got.challenge != "" {
			t.Errorf("%v for %v: got %+v, want %d", c.permissions, c.audience, got, c.want)
		}
	}
	token := i.sign(t, s, func(claims claims) { delete(claims, "function") })
	if got := f.call(t, "Bearer "+token); got.status != 403 {
		t.Errorf("without the claim: got %+v, want 403", got)
	}
	if !strings.Contains(f.log.String(), "token refused") || !strings.Contains(f.log.String(), "it does not name this function") {
		t.Errorf("debug logs no reason: got %s, want %q in it and %q in it", f.log, "token refused", "it does not name this function")
	}
}

func TestNewKeysAreFetchedWhenTheyAreNamed(t *testing.T) {
	i := newIssuer(t)
	old := i.newSigner(t, "old", jose.ES256)
	f := i.guarded(t, func(k *issuer) { k.pause = 0 })
	i.set(func() { i.public = nil })
	fresh := i.newSigner(t, "fresh", jose.ES256)
	if got := f.call(t, i.sign(t, old, nil)); got.status != 200 {
		t.Errorf("a known key: got %+v, want 200", got)
	}
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			if got := f.call(t, i.sign(t, fresh, nil)); got.status != 200 {
				t.Errorf("a fresh key: got %+v, want 200", got)
			}
		})
	}
	all.Wait()
	if got := f.call(t, i.sign(t, old, nil)); got.status != 401 {
		t.Errorf("a key that was taken away: got %+v, want 401", got)
	}
}

func TestKeysAreNotFetchedAgainTooSoon(t *testing.T) {
	i := newIssuer(t)
	known := i.newSigner(t, "known", jose.ES256)
	f := i.guarded(t, nil)
	stranger := &signer{"stranger", known.algorithm, known.key}
	for range 5 {
		if got := f.call(t, i.sign(t, stranger, nil)); got.status != 401 {
			t.Errorf("got %+v, want 401", got)
		}
	}
	i.set(func() {
		if i.asked != 2 { // at the start, and for the first of the strangers
			t.Errorf("asked: got %d times, want 2", i.asked)
		}
	})
}

func TestOldKeysAreFetchedAgainAndHoldWhileThatFails(t *testing.T) {
	i := newIssuer(t)
	s := i.newSigner(t, "a", jose.ES256)
	f := i.guarded(t, func(k *issuer) { k.age, k.pause = 0, 0 })
	i.set(func() { i.broken = true })
	for end := time.Now().Add(testkit.Patience); !strings.Contains(f.log.String(), "cannot be refreshed"); {
		if got := f.call(t, i.sign(t, s, nil)); got.status != 200 {
			t.Fatalf("got %+v, want 200", got)
		}
		if time.Now().After(end) {
			t.Fatalf("nobody asked again: got %s, want another question in time", f.log)
		}
	}
	i.set(func() { i.broken, i.public = false, nil })
	other := i.newSigner(t, "b", jose.ES256)
	for end := time.Now().Add(testkit.Patience); ; {
		if f.call(t, i.sign(t, s, nil)).status == 401 {
			break
		}
		if time.Now().After(end) {
			t.Fatal("a key that was taken away is good for ever")
		}
	}
	if got := f.call(t, i.sign(t, other, nil)); got.status != 200 {
		t.Errorf("got %+v, want 200", got)
	}
}

func TestAnIssuerThatCannotBeReachedIsReported(t *testing.T) {
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
		"there is none that":                answering(about, `{"keys": [{"kty": "oct", "kid": "s", "k": "c2VjcmV0"}, {"kty": "RSA"}, 7]}`),
		"it is too long":                    answering(about, strings.Repeat(" ", fetchSize+1)),
		"unsupported protocol scheme \"ftp": answering(`{"issuer": "HERE", "jwks_uri": "ftp://x/keys"}`, ""),
	} {
		check := newAsked(t, &schema.Route{Name: "f", Auth: schema.Auth{OpenFaaS: &schema.OpenFaaSAuth{Gateway: gateway, Function: "a:b"}}}).check
		if err := check.Start(t.Context()); err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), "see that the gateway can be reached") {
			t.Errorf("got %v, want %q and what to do", err, want)
		}
	}
	if check, err := New(&schema.Route{}, nil); check != nil || err != nil {
		t.Errorf("a route without auth: got %v and %v, want neither", check, err)
	}
}

func TestCloseEndsAFetch(t *testing.T) {
	asked := make(chan struct{})
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		close(asked)
		<-r.Context().Done()
	}))
	t.Cleanup(s.Close)
	var all issuers
	i := all.use(issuerConfig{url: s.URL}, slog.New(slog.DiscardHandler))
	if all.use(issuerConfig{url: s.URL}, nil) != i {
		t.Error("got two issuers for one URL, want one")
	}
	done, _ := i.refresh(nil)
	testkit.Await(t, "the request for the keys", asked)
	all.leave(i)
	select {
	case <-done:
		t.Error("the fetch was ended while the issuer had another user")
	default:
	}
	all.leave(i)
	select {
	case <-done:
	default:
		t.Error("the fetch goes on after close")
	}
	if again, due := i.refresh(nil); again != nil || due != 0 {
		t.Error("another fetch began after close")
	}
}
