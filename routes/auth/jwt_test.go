package auth

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/watchdogd/watchdogd/schema"
)

// jwtOf is the Check of a route for tokens of i, for the audience api.
func (i *issuerServer) jwtOf(t testing.TB, change func(a *schema.JWTAuth)) *asked {
	t.Helper()
	a := &schema.JWTAuth{Issuer: i.URL, Audience: "api"}
	if change != nil {
		change(a)
	}
	check := newAsked(t, &schema.Route{Name: "f", Path: "/", Auth: schema.Auth{JWT: a}})
	if err := check.check.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	return check
}

func (a *asked) issuer() *issuer { return a.check.kind.(*jwt).tokens.issuer }

// forAPI makes a token for the audience api.
func (i *issuerServer) forAPI(t testing.TB, s *signer, change func(c claims)) string {
	t.Helper()
	return i.sign(t, s, func(c claims) {
		c["aud"] = "api"
		if change != nil {
			change(c)
		}
	})
}

var everyAlgorithm = []jose.SignatureAlgorithm{
	jose.RS256, jose.RS384, jose.RS512, jose.PS256, jose.PS384, jose.PS512, jose.ES256, jose.ES384, jose.ES512, jose.EdDSA,
}

func TestTokensOfEveryAlgorithmAreAdmitted(t *testing.T) {
	i := newIssuer(t)
	var signers []*signer
	for n, algorithm := range everyAlgorithm {
		extra := []string{"use", "sig"}
		if n%2 == 0 {
			extra = append(extra, "alg", string(algorithm))
		}
		signers = append(signers, i.newSigner(t, string(algorithm), algorithm, extra...))
	}
	for name, a := range map[string]*asked{
		"discovery":   i.jwtOf(t, nil),
		"jwks":        i.jwtOf(t, func(a *schema.JWTAuth) { a.JWKS = i.URL + "/keys" }),
		"only jwks":   i.jwtOf(t, func(a *schema.JWTAuth) { a.Issuer, a.JWKS = "", i.URL+"/keys" }),
		"no audience": i.jwtOf(t, func(a *schema.JWTAuth) { a.Audience, a.Claims = "", map[string]string{"sub": "ann"} }),
	} {
		for _, s := range signers {
			token := i.forAPI(t, s, nil)
			for range 2 { // verified, and remembered
				got := a.call(t, "Bearer "+token)
				if got.status != 200 || got.user != "ann" || got.header.Get("X-Auth-User") != "ann" || got.header.Get("Authorization") == "" {
					t.Errorf("%s, %s: got %+v, want the user ann, and the token kept", name, s.kid, got)
				}
			}
		}
		for list, want := range map[string]int{`["x","api"]`: 200, `"api"`: 200, `[]`: 401, `"x"`: 401, `["API"]`: 401} {
			token := i.forAPI(t, signers[0], func(c claims) { c["aud"] = json.RawMessage(list) })
			if name != "no audience" && a.call(t, "Bearer "+token).status != want {
				t.Errorf("%s, aud %s: got %+v, want %d", name, list, a.call(t, "Bearer "+token), want)
			}
		}
	}
}

func TestATokenThatIsNotValidIsRefused(t *testing.T) {
	i := newIssuer(t)
	mine := i.newSigner(t, "a", jose.RS256)
	curve := i.newSigner(t, "e", jose.ES256)
	i.newSigner(t, "p384", jose.ES384)
	encrypts := i.newSigner(t, "b", jose.RS256, "use", "enc")
	bound := i.newSigner(t, "c", jose.PS256, "alg", "RS256")
	stranger := newIssuer(t).newSigner(t, "a", jose.RS256)
	weak, err := rsa.GenerateKey(rand.Reader, 1024)
	if err != nil {
		t.Fatal(err)
	}
	i.set(func() {
		i.public = append(i.public, jose.JSONWebKey{Key: []byte("a secret that is shown by mistake"), KeyID: "s"}, jose.JSONWebKey{Key: weak.Public(), KeyID: "weak"})
	})
	body := claims{"iss": i.URL, "aud": "api", "sub": "ann", "exp": time.Now().Add(time.Hour).Unix()}
	byHMAC := func(kid string, key []byte) string {
		text := part(t, claims{"alg": "HS256", "typ": "JWT", "kid": kid}) + "." + part(t, body)
		return text + "." + base64.RawURLEncoding.EncodeToString(macBytes(key, text))
	}
	der, err := x509.MarshalPKIXPublicKey(mine.key.Public())
	if err != nil {
		t.Fatal(err)
	}
	unsigned := func(algorithm string) string {
		return part(t, claims{"alg": algorithm, "typ": "JWT", "kid": "a"}) + "." + part(t, body) + "."
	}
	good := i.forAPI(t, mine, nil)
	parts := strings.Split(good, ".")
	with := func(claim string, value any) string {
		return i.forAPI(t, mine, func(c claims) {
			if c[claim] = value; value == nil {
				delete(c, claim)
			}
		})
	}
	at := func(d time.Duration) int64 { return time.Now().Add(d).Unix() }
	a := i.jwtOf(t, nil)
	if got := a.call(t, "Bearer "+good); got.status != 200 {
		t.Fatalf("got %+v for a good token, want 200", got)
	}
	for name, token := range map[string]string{
		"words":                     "no token",
		"two parts":                 parts[0] + "." + parts[1],
		"four parts":                good + ".x",
		"JSON form":                 fmt.Sprintf(`{"payload":%q,"protected":%q,"signature":%q}`, parts[1], parts[0], parts[2]),
		"unsigned":                  unsigned("none"),
		"unsigned, in capitals":     unsigned("NONE"),
		"no algorithm":              unsigned(""),
		"a signature of nothing":    parts[0] + "." + parts[1] + ".",
		"a changed body":            parts[0] + "." + part(t, claims{"iss": i.URL, "aud": "api", "sub": "root", "exp": at(time.Hour)}) + "." + parts[2],
		"a changed signature":       good[:len(good)-6] + "AAAAAA",
		"another's key":             i.forAPI(t, stranger, nil),
		"a key for encryption":      i.forAPI(t, encrypts, nil),
		"a weak key":                i.forAPI(t, &signer{"weak", jose.RS256, weak}, nil),
		"another algorithm":         i.forAPI(t, bound, nil),
		"ES256 by the key of ES384": i.forAPI(t, &signer{"p384", jose.ES256, curve.key}, nil),
		"RS256 by the key of ES256": i.forAPI(t, &signer{"e", jose.RS256, mine.key}, nil),
		"a shared secret":           byHMAC("s", []byte("a secret that is shown by mistake")),
		"the public key, PEM":       byHMAC("a", pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})),
		"the public key, DER":       byHMAC("a", der),
		"an unknown kid":            i.forAPI(t, &signer{"unknown", mine.algorithm, mine.key}, nil),
		"no kid of several":         i.forAPI(t, &signer{"", mine.algorithm, mine.key}, nil),
		"a key in the token":        mine.token(t, body, claims{"kid": "unknown", "jwk": jose.JSONWebKey{Key: mine.key.Public()}, "jku": i.URL + "/keys"}),
		"critical extensions":       mine.token(t, body, claims{"crit": []string{"exp"}}),
		"unencoded":                 mine.token(t, body, claims{"crit": []string{"b64"}, "b64": false}),
		"expired":                   with("exp", at(-skew-2*time.Second)),
		"no end":                    with("exp", nil),
		"an end before all times":   with("exp", json.RawMessage("-1e300")),
		"an end of words":           with("exp", "tomorrow"),
		"an end in quotes":          with("exp", fmt.Sprint(at(time.Hour))),
		"an end that is null":       with("exp", json.RawMessage("null")),
		"early":                     with("nbf", at(skew+time.Hour)),
		"another issuer":            with("iss", i.URL+"/"),
		"no issuer":                 with("iss", nil),
		"another audience":          with("aud", "other"),
		"no audience":               with("aud", nil),
		"claims that are a list":    mine.token(t, nil, nil),
		"longer than allowed":       mine.token(t, claims{"x": strings.Repeat("x", 1<<20)}, nil),
	} {
		got := a.call(t, "Bearer "+token)
		if got.status != 401 || !strings.HasPrefix(got.challenge, `Bearer realm="f", error="invalid_token"`) || got.user != "" || got.header.Get("X-Auth-User") != "" {
			t.Errorf("%s: got %+v, want 401 with a challenge", name, got)
		}
		if len(got.detail) > 400 {
			t.Errorf("%s: got %d bytes of detail, want one sentence", name, len(got.detail))
		}
		for text := range strings.SplitSeq(token, ".") {
			if len(text) > 10 && (strings.Contains(got.detail, text) || strings.Contains(a.log.String(), text)) {
				t.Errorf("%s: got a part of the token in the answer or the log", name)
			}
		}
	}
	for name, token := range map[string]string{"expired within the skew": with("exp", at(-1*time.Second)), "early within the skew": with("nbf", at(skew-5*time.Second))} {
		if got := a.call(t, "Bearer "+token); got.status != 200 {
			t.Errorf("%s: got %+v, want 200", name, got)
		}
	}
	for _, authorization := range []string{"", "Bearer", "Bearer ", "Basic " + good, good} {
		if got := a.call(t, authorization); got.status != 401 || got.challenge != `Bearer realm="f"` {
			t.Errorf("%.20q: got %+v, want 401 with a challenge", authorization, got)
		}
	}
	r := httptest.NewRequest("GET", "/", nil)
	r.Header["Authorization"] = []string{"Bearer " + good, "Bearer " + good}
	if got := a.ask(t, r); got.status != 401 {
		t.Errorf("two headers: got %+v, want 401", got)
	}
}

func macBytes(key []byte, text string) []byte {
	h := hmac.New(sha256.New, key)
	h.Write([]byte(text))
	return h.Sum(nil)
}

func TestATokenWithoutAClaimIs403(t *testing.T) {
	i := newIssuer(t)
	s := i.newSigner(t, "a", jose.ES256)
	for _, c := range []struct {
		name, want, has string
		status          int
	}{
		{"role", "admin", `"admin"`, 200}, {"role", "admin", `"Admin"`, 403}, {"role", "admin", `"administrator"`, 403}, {"role", "admin", `"user admin"`, 403},
		{"role", "admin", `["user","admin"]`, 200}, {"role", "admin", `["user"]`, 403}, {"role", "admin", `[["admin"]]`, 403}, {"role", "admin", `{"admin":true}`, 403},
		{"role", "", `null`, 403}, {"role", "", `""`, 200}, {"role", "", `[null]`, 403},
		{"scope", "write", `"read write"`, 200}, {"scope", "write", `"read writer"`, 403}, {"scp", "write", `["write"]`, 200},
		{"level", "3", `3`, 200}, {"level", "3", `30`, 403}, {"level", "3", `3.0`, 403}, {"verified", "true", `true`, 200}, {"verified", "true", `false`, 403},
	} {
		a := i.jwtOf(t, func(a *schema.JWTAuth) { a.Claims = map[string]string{c.name: c.want} })
		token := i.forAPI(t, s, func(all claims) { all[c.name] = json.RawMessage(c.has) })
		got := a.call(t, "Bearer "+token)
		if got.status != c.status {
			t.Errorf("%s: %s of a token with %s: got %+v, want %d", c.name, c.want, c.has, got, c.status)
		}
	}
	nested := i.jwtOf(t, func(a *schema.JWTAuth) { a.Claims = map[string]string{"realm.roles": "admin"} })
	for _, c := range []struct {
		value  map[string]any
		status int
	}{
		{claims{"realm": claims{"roles": []string{"admin"}}}, 200}, {claims{"realm.roles": "admin"}, 200},
		{claims{"realm": claims{"roles": []string{}}}, 403}, {claims{"realm": "roles"}, 403}, {claims{}, 403}, {claims{"roles": "admin"}, 403},
	} {
		token := i.forAPI(t, s, func(all claims) {
			for k, v := range c.value {
				all[k] = v
			}
		})
		if got := nested.call(t, "Bearer "+token); got.status != c.status || got.challenge != "" {
			t.Errorf("%v: got %+v, want %d", c.value, got, c.status)
		}
	}
}

func TestASubjectThatIsNotAHeaderValueIs403(t *testing.T) {
	i := newIssuer(t)
	s := i.newSigner(t, "a", jose.ES256)
	a := i.jwtOf(t, nil)
	for _, subject := range []string{"ann\r\nX-Admin: 1", "ann\n", " ann", "ann ", "a\x00b", "a\tb", strings.Repeat("x", 1000)} {
		if got := a.call(t, "Bearer "+i.forAPI(t, s, func(c claims) { c["sub"] = subject })); got.status != 403 || got.header.Get("X-Auth-User") != "" {
			t.Errorf("%.20q: got %+v, want 403", subject, got)
		}
	}
	for subject, user := range map[string]string{"auth0|5f7c": "auth0|5f7c", "jörg": "jörg", "": ""} {
		if got := a.call(t, "Bearer "+i.forAPI(t, s, func(c claims) { c["sub"] = subject })); got.status != 200 || got.user != user {
			t.Errorf("%q: got %+v, want the user %q", subject, got, user)
		}
	}
}

// A token that was remembered is refused when its key is gone.
func TestARememberedTokenIsForgottenWithItsKey(t *testing.T) {
	i := newIssuer(t)
	s := i.newSigner(t, "a", jose.ES256)
	a := i.jwtOf(t, nil)
	token := "Bearer " + i.forAPI(t, s, nil)
	for range 2 {
		if got := a.call(t, token); got.status != 200 {
			t.Fatalf("got %+v, want 200", got)
		}
	}
	i.set(func() { i.public = nil })
	i.newSigner(t, "b", jose.ES256)
	if got := a.call(t, "Bearer "+i.forAPI(t, &signer{"x", s.algorithm, s.key}, nil)); got.status != 401 {
		t.Errorf("an unknown key: got %+v, want 401", got)
	}
	if got := a.call(t, token); got.status != 401 {
		t.Errorf("a remembered token of a key that is gone: got %+v, want 401", got)
	}
}

func TestARememberedTokenExpires(t *testing.T) {
	i := newIssuer(t)
	s := i.newSigner(t, "a", jose.ES256)
	a := i.jwtOf(t, nil)
	expires := time.Now().Add(time.Minute)
	token := "Bearer " + i.forAPI(t, s, func(c claims) { c["exp"] = expires.Unix() })
	now := time.Now()
	a.check.kind.(*jwt).tokens.now = func() time.Time { return now }
	for after, want := range map[time.Duration]int{0: 200, 59 * time.Second: 200, 60*time.Second + skew + time.Second: 401} {
		now = expires.Add(-time.Minute + after)
		if got := a.call(t, token); got.status != want {
			t.Errorf("after %v: got %+v, want %d", after, got, want)
		}
	}
	sum := sha256.Sum256([]byte(strings.TrimPrefix(token, "Bearer ")))
	set := a.issuer().set.Load()
	cache := &a.check.kind.(*jwt).seen
	if _, ok := cache.get(sum, set, expires.Add(-2*time.Second)); !ok {
		t.Error("the token is not remembered before it expires, want it to be")
	}
	if _, ok := cache.get(sum, set, expires); ok {
		t.Error("the token is remembered after it has expired, want it verified again")
	}
}

func TestTheCacheIsBounded(t *testing.T) {
	var c cache
	set := new(keySet)
	later := time.Now().Add(time.Hour)
	sum := func(n int) [sha256.Size]byte { return sha256.Sum256([]byte(fmt.Sprint(n))) }
	for n := range 20 * cacheSize {
		c.put(sum(n), known{"u", later, set})
		if _, ok := c.get(sum(0), set, time.Now()); !ok {
			t.Fatalf("a token that is used all the time is forgotten after %d others", n)
		}
	}
	if got := len(c.young) + len(c.old); got > 2*cacheSize {
		t.Errorf("got %d tokens remembered, want %d at most", got, 2*cacheSize)
	}
}

func FuzzToken(f *testing.F) {
	f.Add("a.b.c")
	f.Add("eyJhbGciOiJub25lIn0.e30.")
	f.Add("eyJhbGciOiJFUzI1NiIsImtpZCI6ImEifQ.eyJleHAiOjF9.AAAA")
	i := newIssuer(f)
	i.newSigner(f, "a", jose.ES256)
	a := i.jwtOf(f, nil)
	f.Fuzz(func(t *testing.T, token string) {
		if got := a.call(t, "Bearer "+token); got.status == 200 {
			t.Errorf("%q is admitted", token)
		}
	})
}

func BenchmarkJWTRemembered(b *testing.B) {
	i := newIssuer(b)
	s := i.newSigner(b, "a", jose.RS256)
	a := i.jwtOf(b, nil)
	benchmark(b, a, "Bearer "+i.forAPI(b, s, nil))
}

func BenchmarkJWTVerified(b *testing.B) {
	i := newIssuer(b)
	s := i.newSigner(b, "a", jose.RS256)
	a := i.jwtOf(b, nil)
	token := i.forAPI(b, s, nil)
	a.call(b, "Bearer "+token)
	b.ReportAllocs()
	for b.Loop() {
		if _, _, err := a.check.kind.(*jwt).tokens.verify(b.Context(), token); err != nil {
			b.Fatal(err)
		}
	}
}
