package auth

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/watchdogd/watchdogd/internal/call"
	"github.com/watchdogd/watchdogd/internal/failure"
	"github.com/watchdogd/watchdogd/schema"
)

// openFaaS admits who has a token of an OpenFaaS gateway's issuer whose claim
// function.permissions names the function. The texts are those of of-watchdog, whose clients
// know them; none holds a part of the token.
type openFaaS struct {
	function string // namespace:name
	debug    bool
	log      *slog.Logger
	tokens   *tokens
	all      *issuers
}

func newOpenFaaS(route string, a *schema.OpenFaaSAuth, shared *Shared) *openFaaS {
	i := shared.issuers.use(issuerConfig{
		url: strings.TrimSuffix(a.Gateway, "/"), anyName: true, pause: 10 * time.Second, agent: "openfaas-watchdog",
		failHint: "see that the gateway can be reached from here, and has its identity provider switched on",
	}, shared.log)
	return &openFaaS{function: a.Function, debug: a.Debug, log: shared.log.With("route", route), tokens: newTokens(i, time.Second, true), all: &shared.issuers}
}

// start waits for the keys: of-watchdog does not start without them.
func (o *openFaaS) start(ctx context.Context) error { return o.tokens.issuer.fetchNow(ctx) }

func (o *openFaaS) close() { o.all.leave(o.tokens.issuer) }

// check also writes X-Auth-Seconds, by which the function learns how long it took.
func (o *openFaaS) check(_ *call.Call, r *http.Request) (user, scheme string, _ *failure.Error) {
	began := time.Now()
	delete(r.Header, "X-Auth-Seconds")
	token := bearer(r.Header.Get("Authorization"))
	if token == "" {
		return "", "", unauthorized(challenge, "Bearer must be present in Authorization header")
	}
	subject, permitted, err := o.read(r.Context(), token)
	if err != nil {
		if o.debug {
			o.log.Info("token refused", "error", err)
		}
		return "", "", unauthorized(challenge, "failed to parse JWT token: "+err.Error())
	}
	if !anyMatches(permitted.Permissions, o.function) || len(permitted.Audience) > 0 && !anyMatches(permitted.Audience, o.function) {
		if o.debug {
			o.log.Info("token refused", "error", "it does not name this function", "function", o.function,
				"subject", subject, "permissions", permitted.Permissions, "audience", permitted.Audience)
		}
		return "", "", &failure.Error{Kind: failure.Forbidden, Detail: "insufficient permissions"}
	}
	if subject != "" && !sound(subject) {
		return "", "", &failure.Error{Kind: failure.Forbidden, Detail: "the token's sub cannot be passed on in a header"}
	}
	r.Header["X-Auth-Seconds"] = []string{strconv.FormatFloat(time.Since(began).Seconds(), 'f', 6, 64)}
	return subject, "Bearer", nil
}

// permissions is the claim function.
type permissions struct {
	Permissions []string `json:"permissions"`
	Audience    []string `json:"audience"`
}

// read verifies a token, which must be from the issuer and for it.
func (o *openFaaS) read(ctx context.Context, token string) (subject string, p permissions, err error) {
	if len(token) > maxToken {
		return "", p, errNoToken
	}
	verified, claims, err := o.tokens.verify(ctx, token)
	if err != nil {
		return "", p, err
	}
	// The keys may have been fetched again since, but the issuer's name is theirs too.
	name := o.tokens.issuer.set.Load().issuer
	if verified.Issuer != name {
		return "", p, errIssuer
	}
	if !slices.Contains(verified.Audience, name) {
		return "", p, errAudience
	}
	if text, ok := claims["function"]; ok {
		if json.Unmarshal(text, &p) != nil {
			return "", p, errNoPermissions
		}
	}
	return verified.Subject, p, nil
}

var (
	errIssuer        = errors.New("the token is from another issuer")
	errAudience      = errors.New("the token is for another audience")
	errNoPermissions = errors.New("the token's claim function is malformed")
)

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
