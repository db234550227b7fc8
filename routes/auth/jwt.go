package auth

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"

	"github.com/watchdogd/watchdogd/internal/call"
	"github.com/watchdogd/watchdogd/internal/failure"
	"github.com/watchdogd/watchdogd/schema"
)

// tokens verifies the tokens of an issuer: their signature, issuer and times. What else a
// token must say is for who uses it.
type tokens struct {
	issuer   *issuer
	verifier *oidc.IDTokenVerifier
	leeway   time.Duration
	now      func() time.Time
}

// KeySet of go-oidc. VerifySignature is called for tokens whose algorithm is one of algorithms.
var _ oidc.KeySet = (*issuer)(nil)

// VerifySignature returns what a token says, if a key of the issuer has signed it. An unknown key
// has the issuer asked for new ones.
func (i *issuer) VerifySignature(ctx context.Context, token string) ([]byte, error) {
	parsed, err := parse(token)
	if err != nil {
		return nil, err
	}
	set := i.current()
	payload, err := set.verify(parsed)
	if errors.Is(err, errUnknownKey) {
		if newer := i.after(ctx, set); newer != set {
			payload, err = newer.verify(parsed)
		}
	}
	return payload, err
}

// newTokens makes the verifier of i. Where its name is known only from the discovery, or no name
// is asked for, go-oidc is not told one.
func newTokens(i *issuer, leeway time.Duration, anyIssuer bool) *tokens {
	names := make([]string, len(algorithms))
	for n, a := range algorithms {
		names[n] = string(a)
	}
	return &tokens{issuer: i, leeway: leeway, now: time.Now, verifier: oidc.NewVerifier(i.url, i, &oidc.Config{
		SupportedSigningAlgs: names,
		SkipIssuerCheck:      anyIssuer,
		SkipClientIDCheck:    true, // by who uses it: there the audience is optional
		SkipExpiryCheck:      true, // by us: go-oidc allows five minutes for nbf, and none for exp
	})}
}

// verify returns what a token says, and until when.
func (t *tokens) verify(ctx context.Context, token string) (*oidc.IDToken, map[string]json.RawMessage, error) {
	if _, err := parse(token); err != nil {
		return nil, nil, err
	}
	verified, err := t.verifier.Verify(ctx, token)
	if err != nil {
		return nil, nil, errors.New(plainly(err))
	}
	var claims map[string]json.RawMessage
	if err := verified.Claims(&claims); err != nil {
		return nil, nil, errNoToken
	}
	if err := t.times(claims); err != nil {
		return nil, nil, err
	}
	return verified, claims, nil
}

// plainly is an error of go-oidc as a client understands it.
func plainly(err error) string {
	text := strings.TrimPrefix(strings.TrimPrefix(err.Error(), "oidc: "), "failed to verify signature: ")
	if issuers, ok := strings.CutPrefix(text, "id token issued by a different provider, "); ok {
		text = "its issuer (iss) is not that of this route: " + issuers
	}
	if strings.HasPrefix(text, "failed to unmarshal claims: ") {
		text = "one of its claims iss, sub and aud is not a text, or one of its times is not a number"
	}
	return text[:min(len(text), 300)]
}

// times checks exp and nbf. They are numbers (RFC 7519, 2): go-oidc takes strings too, and others
// who read the token do not.
func (t *tokens) times(claims map[string]json.RawMessage) error {
	now := float64(t.now().UnixNano()) / 1e9
	leeway := t.leeway.Seconds()
	var at [3]float64
	for n, name := range [...]string{"exp", "nbf", "iat"} {
		at[n] = math.NaN()
		if text, ok := claims[name]; ok && !bytes.Equal(text, []byte("null")) {
			if json.Unmarshal(text, &at[n]) != nil {
				return errors.New("a time in the token (exp, nbf or iat) is not a number")
			}
		}
	}
	switch expires, begins := at[0], at[1]; {
	case math.IsNaN(expires):
		return errors.New("the token has no time at which it expires (exp)")
	case now > expires+leeway:
		return errors.New("the token has expired")
	case now+leeway < begins:
		return errors.New("the token is not valid yet (nbf)")
	}
	return nil
}

// jwt admits who has a token of an issuer, for this audience, with these claims.
type jwt struct {
	challenge string
	audience  string
	claims    []claim
	tokens    *tokens
	all       *issuers
	seen      cache
}

type claim struct {
	path []string // of the names that lead to it
	name string   // as it was written
	want string
}

// skew is how far the clock of an issuer may be from ours.
const skew = 30 * time.Second

func newJWT(route string, a *schema.JWTAuth, shared *Shared) *jwt {
	i := shared.issuers.use(issuerConfig{
		url: a.Issuer, jwks: a.JWKS, pause: time.Minute, agent: "watchdogd",
		failHint: "check auth.jwt, and that the issuer can be reached from here",
	}, shared.log)
	j := &jwt{challenge: fmt.Sprintf("Bearer realm=%q", route), audience: a.Audience, tokens: newTokens(i, skew, a.Issuer == ""), all: &shared.issuers}
	for _, name := range slices.Sorted(maps.Keys(a.Claims)) {
		j.claims = append(j.claims, claim{strings.Split(name, "."), name, a.Claims[name]})
	}
	return j
}

func (j *jwt) start(context.Context) error {
	j.tokens.issuer.start()
	return nil
}

func (j *jwt) close() { j.all.leave(j.tokens.issuer) }

func (j *jwt) check(_ *call.Call, r *http.Request) (user, scheme string, _ *failure.Error) {
	token, found, twice := credentials(r.Header, "Bearer")
	switch {
	case twice:
		return "", "", unauthorized(j.challenge, twiceDetail)
	case !found || token == "":
		return "", "", unauthorized(j.challenge, "the route needs a token: send it as Authorization: Bearer TOKEN")
	case len(token) > maxToken:
		return "", "", j.invalid(fmt.Errorf("it is longer than %d bytes", maxToken))
	}
	sum := sha256.Sum256([]byte(token))
	set := j.tokens.issuer.current()
	if user, ok := j.seen.get(sum, set, j.tokens.now()); ok {
		return user, "Bearer", nil
	}
	if _, err := parse(token); err != nil {
		return "", "", j.invalid(err) // before it has anything fetched
	}
	if set == nil {
		if set = j.tokens.issuer.after(r.Context(), nil); set == nil {
			if r.Context().Err() != nil {
				return "", "", gone(r.Context())
			}
			return "", "", unavailable("the keys of the issuer of tokens could not be fetched yet", j.tokens.issuer.reason())
		}
	}
	verified, claims, err := j.tokens.verify(r.Context(), token)
	if err != nil {
		return "", "", j.invalid(err)
	}
	if j.audience != "" && !slices.Contains(verified.Audience, j.audience) {
		return "", "", j.invalid(errors.New("it is for another audience"))
	}
	for _, c := range j.claims {
		if !c.satisfied(claims) {
			return "", "", &failure.Error{Kind: failure.Forbidden, Detail: "the token's claim " + c.name + " does not have the value that this route needs"}
		}
	}
	if verified.Subject != "" && !sound(verified.Subject) {
		return "", "", &failure.Error{Kind: failure.Forbidden, Detail: "the token's sub cannot be passed on in a header"}
	}
	j.seen.put(sum, known{verified.Subject, verified.Expiry, set})
	return verified.Subject, "Bearer", nil
}

// invalid is the answer to a token that is refused (RFC 6750, 3.1).
func (j *jwt) invalid(why error) *failure.Error {
	return unauthorized(j.challenge+`, error="invalid_token"`, "the token is refused: "+why.Error())
}

// satisfied reports whether a token has the claim. A list has each of its elements; a scope is a
// list of words (RFC 8693, 4.2). A name with full stops leads into objects where there is no
// claim of the whole name.
func (c claim) satisfied(claims map[string]json.RawMessage) bool {
	text, ok := claims[c.name]
	for n := 0; !ok && n < len(c.path); n++ {
		next, there := claims[c.path[n]]
		if !there {
			return false
		}
		if n == len(c.path)-1 {
			text, ok = next, true
			break
		}
		claims = nil
		if json.Unmarshal(next, &claims) != nil {
			return false
		}
	}
	var value any
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	if d.Decode(&value) != nil {
		return false
	}
	if list, isList := value.([]any); isList {
		return slices.ContainsFunc(list, func(v any) bool { return scalar(v) == c.want && v != nil })
	}
	if words, isText := value.(string); isText && (c.name == "scope" || c.name == "scp") {
		return words == c.want || slices.Contains(strings.Fields(words), c.want)
	}
	return value != nil && scalar(value) == c.want
}

// scalar is a value of JSON as it is written; an object or a list has no such form.
func scalar(v any) string {
	switch v := v.(type) {
	case string:
		return v
	case json.Number:
		return v.String()
	case bool:
		return fmt.Sprint(v)
	}
	return "\x00" // the configuration cannot ask for that
}
