package schema

import (
	"fmt"
	"net/url"
	"path/filepath"
	"strings"

	"golang.org/x/net/http/httpguts"

	"github.com/watchdogd/watchdogd/internal/phrase"
	"github.com/watchdogd/watchdogd/internal/regular"
	"github.com/watchdogd/watchdogd/schema/internal/decode"
)

// checkAuth checks how clients authenticate. What the files hold is checked by routes/auth.
func (l *loader) checkAuth(r *Route, it decode.Item) {
	var kinds []string
	if a := r.Auth.Basic; a != nil {
		kinds = append(kinds, "basic")
		l.needOne(it, "basic", "file", a.File != "" || len(a.Users) > 0)
		l.checkAuthFile(it, a.File, "basic", "file")
	}
	if a := r.Auth.Keys; a != nil {
		kinds = append(kinds, "keys")
		l.needOne(it, "keys", "file", a.File != "" || len(a.Keys) > 0)
		l.checkAuthFile(it, a.File, "keys", "file")
	}
	if a := r.Auth.HMAC; a != nil {
		kinds = append(kinds, "hmac")
		l.checkHMAC(a, it)
	}
	if a := r.Auth.JWT; a != nil {
		kinds = append(kinds, "jwt")
		l.checkJWT(a, it)
	}
	if a := r.Auth.OpenFaaS; a != nil {
		kinds = append(kinds, "openfaas")
		l.needOne(it, "openfaas", "gateway", a.Gateway != "")
		l.needOne(it, "openfaas", "function", a.Function != "")
		if a.Gateway != "" && !webURL(a.Gateway) {
			l.Wrong(l.At(it, "auth", "openfaas", "gateway"), phrase.Quote(a.Gateway)+" is not a valid gateway URL", "for example http://gateway.openfaas:8080")
		}
		if namespace, name, _ := strings.Cut(a.Function, ":"); a.Function != "" && (namespace == "" || name == "") {
			l.Wrong(l.At(it, "auth", "openfaas", "function"), phrase.Quote(a.Function)+" is not a valid function", "write namespace:name, for example openfaas-fn:env")
		}
	}
	if len(kinds) > 1 {
		l.Wrong(l.At(it, "auth"), fmt.Sprintf("has %s; only one is allowed", strings.Join(kinds, " and ")), "keep one of them")
	}
}

// needOne notes that a key is missing, unless it is there or was read with a problem.
func (l *loader) needOne(it decode.Item, kind, key string, there bool) {
	if at := l.At(it, "auth", kind); !there && l.Fine(at) {
		l.Wrong(at.Under(key), "is missing", "")
	}
}

// checkAuthFile checks that a file with secrets can be read and is not empty.
func (l *loader) checkAuthFile(it decode.Item, file string, keys ...string) {
	at := l.At(it, append([]string{"auth"}, keys...)...)
	if file == "" || !l.Fine(at) {
		return
	}
	data, err := regular.ReadFile(file)
	switch {
	case err != nil:
		l.Wrong(at, fmt.Sprintf("cannot read %s: %v", shown(at.Item.From, file), err), "")
	case len(data) == 0:
		l.Wrong(at, shown(at.Item.From, file)+" is empty, so no request would be accepted", "write the keys, users or secret into it, or remove auth")
	}
}

func (l *loader) checkHMAC(a *HMACAuth, it decode.Item) {
	l.needOne(it, "hmac", "secret_file", a.SecretFile != "" || a.Secret != "")
	l.checkAuthFile(it, a.SecretFile, "hmac", "secret_file")
	if a.SecretFile != "" && a.Secret != "" {
		l.Wrong(l.At(it, "auth", "hmac"), "has secret and secret_file; only one is allowed", "keep one of them")
	}
	if a.Header != "" && !httpguts.ValidHeaderFieldName(a.Header) {
		l.Wrong(l.At(it, "auth", "hmac", "header"), phrase.Quote(a.Header)+" is not a valid header name", "")
	}
}

func (l *loader) checkJWT(a *JWTAuth, it decode.Item) {
	l.needOne(it, "jwt", "issuer", a.Issuer != "" || a.JWKS != "")
	for _, u := range [...]struct{ key, value string }{{"issuer", a.Issuer}, {"jwks", a.JWKS}} {
		if u.value != "" && !webURL(u.value) {
			l.Wrong(l.At(it, "auth", "jwt", u.key), phrase.Quote(u.value)+" is not a valid URL", "write http:// or https:// and a host, without a password")
		}
	}
	if at := l.At(it, "auth", "jwt"); a.Audience == "" && len(a.Claims) == 0 && l.Fine(at) {
		l.Wrong(at.Under("audience"), "is missing: without it and without claims, a token that the issuer made for any other service would pass", "write the audience that the issuer puts into tokens for this service")
	}
}

// webURL reports whether text is a URL of HTTP with a host and without a password.
func webURL(text string) bool {
	u, err := url.Parse(text)
	return err == nil && (u.Scheme == "http" || u.Scheme == "https") && u.Host != "" && u.User == nil
}

// checkServedSecrets refuses a file with secrets that a static route would send to everyone.
func (l *loader) checkServedSecrets(c *Config) {
	for i := range c.Routes {
		r := &c.Routes[i]
		file, key := r.Auth.file()
		if file == "" {
			continue
		}
		for j := range c.Routes {
			static := &c.Routes[j]
			if static.Mode != Static || static.Root == "" {
				continue
			}
			rel, err := filepath.Rel(static.Root, file)
			if err != nil || !filepath.IsLocal(rel) || strings.Contains("/"+filepath.ToSlash(rel), "/.") {
				continue
			}
			at := l.At(l.routes[i], append([]string{"auth"}, key...)...)
			l.Wrong(at, fmt.Sprintf("%s is inside the folder of the static route %s, which serves it", shown(at.Item.From, file), phrase.Quote(static.Name)), "move it out of the folder, or begin its name with a dot")
		}
	}
}

// file is the file with secrets, and the key that names it below auth.
func (a Auth) file() (file string, key []string) {
	switch {
	case a.Basic != nil:
		return a.Basic.File, []string{"basic", "file"}
	case a.Keys != nil:
		return a.Keys.File, []string{"keys", "file"}
	case a.HMAC != nil:
		return a.HMAC.SecretFile, []string{"hmac", "secret_file"}
	}
	return "", nil
}
