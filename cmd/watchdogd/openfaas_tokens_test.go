package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	"net"
	"net/http"
	"sync"
	"time"
)

// issuer is a gateway that signs tokens, on the port that jwt_auth_local means.
type issuer struct {
	w      *watchdog
	server *http.Server

	mu  sync.Mutex
	kid string
	key *ecdsa.PrivateKey
}

const issuerURL = "http://127.0.0.1:8000"

func (w *watchdog) issuer() *issuer {
	w.Helper()
	w.needPort(8000)
	i := &issuer{w: w}
	i.rotate("first")
	mux := http.NewServeMux()
	mux.HandleFunc("/.well-known/openid-configuration", func(out http.ResponseWriter, _ *http.Request) {
		fmt.Fprintf(out, `{"issuer": %q, "jwks_uri": %q}`, issuerURL, issuerURL+"/jwks")
	})
	mux.HandleFunc("/jwks", func(out http.ResponseWriter, _ *http.Request) {
		i.mu.Lock()
		defer i.mu.Unlock()
		point, err := i.key.PublicKey.Bytes()
		if err != nil {
			return
		}
		b64 := base64.RawURLEncoding.EncodeToString
		_ = json.NewEncoder(out).Encode(map[string]any{"keys": []any{map[string]string{
			"kty": "EC", "crv": "P-256", "alg": "ES256", "use": "sig", "kid": i.kid, "x": b64(point[1:33]), "y": b64(point[33:]),
		}}})
	})
	i.server = &http.Server{Handler: mux}
	l, err := net.Listen("tcp", "127.0.0.1:8000")
	if err != nil {
		w.Fatal(err)
	}
	var served sync.WaitGroup
	served.Go(func() { _ = i.server.Serve(l) })
	w.Cleanup(func() { _ = i.server.Close(); served.Wait() })
	return i
}

// rotate makes a new key.
func (i *issuer) rotate(kid string) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		i.w.Fatal(err)
	}
	i.mu.Lock()
	defer i.mu.Unlock()
	i.kid, i.key = kid, key
}

// token is one for these permissions, with claims changed.
func (i *issuer) token(permissions any, change map[string]any) string {
	i.w.Helper()
	now := time.Now().Unix()
	claims := map[string]any{"iss": issuerURL, "aud": issuerURL, "sub": "me", "iat": now, "exp": now + 600, "function": map[string]any{"permissions": permissions}}
	maps.Copy(claims, change)
	i.mu.Lock()
	defer i.mu.Unlock()
	part := func(v any) string {
		data, err := json.Marshal(v)
		if err != nil {
			i.w.Fatal(err)
		}
		return base64.RawURLEncoding.EncodeToString(data)
	}
	text := part(map[string]string{"alg": "ES256", "typ": "JWT", "kid": i.kid}) + "." + part(claims)
	sum := sha256.Sum256([]byte(text))
	r, s, err := ecdsa.Sign(rand.Reader, i.key, sum[:])
	if err != nil {
		i.w.Fatal(err)
	}
	signature := append(r.FillBytes(make([]byte, 32)), s.FillBytes(make([]byte, 32))...)
	return text + "." + base64.RawURLEncoding.EncodeToString(signature)
}

// tokens: section 2.8.
func tokens() []scenario {
	run := func(w *watchdog) *watchdog {
		return w.start("fprocess=env", "jwt_auth=true", "jwt_auth_local=true", "OPENFAAS_NAME=env", "OPENFAAS_NAMESPACE=dev")
	}
	rows := []scenario{
		{says: "jwt_auth without a name is status 1", of: either, do: func(w *watchdog) {
			w.exits(1, "fprocess=cat", "jwt_auth=true", "jwt_auth_local=true", "OPENFAAS_NAMESPACE=dev")
		}},
		{says: "jwt_auth without its gateway is status 1", of: either, solo: true, do: func(w *watchdog) {
			w.needPort(8000)
			w.exits(1, "fprocess=cat", "jwt_auth=true", "jwt_auth_local=true", "OPENFAAS_NAME=env", "OPENFAAS_NAMESPACE=dev")
		}},
		{says: "no token is 401", of: either, do: func(w *watchdog) {
			w.issuer()
			run(w).get("/").is(401, "Bearer must be present in Authorization header\n").
				has("X-OpenFaaS-Internal", "faas-middleware").has("Www-Authenticate", "Bearer realm=IAM function invoke").has("X-Content-Type-Options", "nosniff")
			w.line(clock + `GET / - 401 ACCESS DENIED - \(.*s\)`)
		}},
		{says: "a bad token is 401 with why", of: either, do: func(w *watchdog) {
			i := w.issuer()
			run(w).get("/", "Authorization: Bearer nonsense").code(401).holds("failed to parse JWT token: ")
			for what, token := range map[string]string{
				"expired":        i.token([]string{"dev:env"}, map[string]any{"exp": time.Now().Add(-time.Minute).Unix()}),
				"other issuer":   i.token([]string{"dev:env"}, map[string]any{"iss": "http://elsewhere"}),
				"other audience": i.token([]string{"dev:env"}, map[string]any{"aud": "http://elsewhere"}),
				"tampered":       i.token([]string{"dev:env"}, nil) + "AA",
			} {
				if a := w.get("/", "Authorization: Bearer "+token); a.status != 401 {
					w.Errorf("%s: got %v, want 401", what, a)
				}
			}
		}},
		{says: "a good token passes", of: either, do: func(w *watchdog) {
			i := w.issuer()
			run(w).get("/", "Authorization: Bearer "+i.token([]string{"dev:env"}, nil)).code(200).holds("Http_X_Auth_Seconds=")
			w.get("/", "Authorization: "+i.token([]string{"dev:*"}, nil)).code(200)
			w.get("/", "Authorization: Bearer "+i.token([]string{"other:*", "*"}, nil)).code(200)
		}},
		{says: "other permissions are 403", of: either, do: func(w *watchdog) {
			i := w.issuer()
			run(w)
			for _, permissions := range [][]string{{"dev:other"}, {"prod:*"}, {}} {
				if a := w.get("/", "Authorization: Bearer "+i.token(permissions, nil)); a.status != 403 && a.status != 401 {
					w.Errorf("%v: %v", permissions, a)
				}
			}
			w.get("/", "Authorization: Bearer "+i.token([]string{"dev:other"}, nil)).code(403).holds("insufficient permissions")
		}},
		{says: "a permission is for the whole name", ours: true, do: func(w *watchdog) {
			i := w.issuer()
			run(w)
			for _, permission := range []string{"dev:en", "dev:env2", "xdev:env", "ev:env", "dev.env"} {
				w.get("/", "Authorization: Bearer "+i.token([]string{permission}, nil)).code(403)
			}
		}},
		{says: "keys are read again", ours: true, do: func(w *watchdog) {
			i := w.issuer()
			run(w).get("/", "Authorization: Bearer "+i.token([]string{"dev:env"}, nil)).code(200)
			i.rotate("second")
			w.poll("the new key", func() bool {
				return w.get("/", "Authorization: Bearer "+i.token([]string{"dev:env"}, nil)).status == 200
			})
		}},
		{says: "health and readiness need no token", of: either, do: func(w *watchdog) {
			w.issuer()
			run(w).poll("health", func() bool { return w.get("/_/health").status == 200 })
		}},
		{says: "the classic watchdog asks for tokens too", of: classic, do: func(w *watchdog) {
			i := w.issuer()
			run(w).get("/").code(401)
			w.get("/", "Authorization: Bearer "+i.token([]string{"dev:env"}, nil)).code(200)
		}},
	}
	for i := range rows {
		rows[i].solo = true // the port 8000
	}
	return rows
}
