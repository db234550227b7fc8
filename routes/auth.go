package routes

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/watchdogd/watchdogd/internal/failure"
	"github.com/watchdogd/watchdogd/schema"
)

// Auth is who may call a route: whoever has a token of an OpenFaaS gateway's issuer
// whose claim function.permissions names the function.
//
// NewAuth only builds. After Fetch it may be used by many calls; then it sees to its
// keys by itself, and is closed when no call uses it any more.
type Auth struct {
	function string // namespace:name
	debug    bool
	log      *slog.Logger
	keys     *keyring
}

// NewAuth gives what a route's auth key asks for, or nil when it asks for nothing.
func NewAuth(route *schema.Route, log *slog.Logger) *Auth {
	asked := route.Auth.OpenFaaS
	if asked == nil {
		return nil
	}
	log = log.With("route", route.Name)
	return &Auth{function: asked.Function, debug: asked.Debug, log: log, keys: newKeyring(asked.Gateway, log)}
}

// Fetch asks for the issuer and its keys. The error is one sentence.
func (a *Auth) Fetch(ctx context.Context) error {
	set, err := a.keys.fetch(ctx)
	if err == nil {
		a.keys.set.Store(set)
	}
	return err
}

// Close returns when nothing is being fetched any more.
func (a *Auth) Close() error {
	a.keys.close()
	return nil
}

// claims are what a token says, as far as it is asked for here.
type claims struct {
	jwt.RegisteredClaims
	Function struct {
		Permissions []string `json:"permissions"`
		Audience    []string `json:"audience"`
	} `json:"function"`
}

// UnmarshalJSON reads the claims. Times are numbers (RFC 7519, 2): package jwt takes
// strings too, and others who read the token do not.
func (c *claims) UnmarshalJSON(text []byte) error {
	var times struct {
		Expires json.RawMessage `json:"exp"`
		Begins  json.RawMessage `json:"nbf"`
		Issued  json.RawMessage `json:"iat"`
	}
	if err := json.Unmarshal(text, &times); err != nil {
		return err
	}
	for _, value := range []json.RawMessage{times.Expires, times.Begins, times.Issued} {
		if len(value) > 0 && value[0] == '"' {
			return errors.New("a time in the token (exp, nbf or iat) is not a number")
		}
	}
	type plain claims // without this method
	return json.Unmarshal(text, (*plain)(c))
}

// check decides on a request by its header, in which it tells the function how long that
// took, in the caller's place.
//
// The words are those of of-watchdog's callers. None of them holds a part of the token.
func (a *Auth) check(ctx context.Context, header http.Header) *failure.Error {
	began := time.Now()
	delete(header, "X-Auth-Seconds")
	token := bearer(header.Get("Authorization"))
	if token == "" {
		return &failure.Error{Kind: failure.Unauthorized, Challenge: challenge, Detail: "Bearer must be present in Authorization header"}
	}
	var c claims
	set := a.keys.current()
	err := set.parse(token, &c)
	if errors.Is(err, errUnknownKey) {
		if newer := a.keys.after(ctx, set); newer != set {
			c = claims{}
			err = newer.parse(token, &c)
		}
	}
	if err != nil {
		if a.debug {
			a.log.Info("token refused", "error", err)
		}
		return &failure.Error{Kind: failure.Unauthorized, Challenge: challenge, Detail: "failed to parse JWT token: " + err.Error()}
	}
	permitted := c.Function
	if !anyMatches(permitted.Permissions, a.function) || len(permitted.Audience) > 0 && !anyMatches(permitted.Audience, a.function) {
		if a.debug {
			a.log.Info("token refused", "error", "it does not name this function", "function", a.function,
				"subject", c.Subject, "permissions", permitted.Permissions, "audience", permitted.Audience)
		}
		return &failure.Error{Kind: failure.Forbidden, Detail: "insufficient permissions"}
	}
	header["X-Auth-Seconds"] = []string{strconv.FormatFloat(time.Since(began).Seconds(), 'f', 6, 64)}
	return nil
}

// challenge is the WWW-Authenticate of an answer to a request without a valid token, as
// of-watchdog writes it.
const challenge = "Bearer realm=IAM function invoke"

// bearer is the token in the value of an Authorization header, where its scheme may be
// missing.
func bearer(value string) string {
	const scheme = "Bearer "
	if len(value) >= len(scheme) && strings.EqualFold(value[:len(scheme)], scheme) {
		value = value[len(scheme):]
	}
	return strings.TrimSpace(value)
}

// anyMatches reports whether one of patterns is the whole of name, where each * in it
// stands for any text.
func anyMatches(patterns []string, name string) bool {
	for _, pattern := range patterns {
		if matches(pattern, name) {
			return true
		}
	}
	return false
}

func matches(pattern, name string) bool {
	begin, pattern, wild := strings.Cut(pattern, "*")
	if !wild {
		return begin == name
	}
	name, ok := strings.CutPrefix(name, begin)
	if !ok {
		return false
	}
	for {
		var part string
		if part, pattern, wild = strings.Cut(pattern, "*"); !wild {
			return strings.HasSuffix(name, part)
		}
		// The first place is as good as any: all that follows finds more room behind it.
		if _, name, ok = strings.Cut(name, part); !ok {
			return false
		}
	}
}
