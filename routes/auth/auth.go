// Package auth decides who may call a route. There is one door:
//
//	shared := auth.NewShared(log)               // one for the daemon
//	check, err := auth.New(&route, shared)      // reads the files that the route's auth key names
//	err = check.Start(ctx)                      // begins to fetch what is elsewhere
//	if err := check.Check(call, request); err != nil { ... a *failure.Error: 401, 403, 413, 503 }
//	err = check.Close()
//
// Check runs before a process is started, a place is taken or, except by hmac, the body is
// read. It names the caller in the call and in the request's X-Auth-User; the front has removed
// that field from what the client sent. A Check never changes: a reload reads the files again and
// makes another. What must survive a reload is in Shared: the keys of issuers, and the bounds
// on what unauthenticated clients can cost.
//
// A file per kind: basic.go, keys.go, hmac.go, jwt.go and openfaas.go.
package auth

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"strings"

	"github.com/watchdogd/watchdogd/internal/call"
	"github.com/watchdogd/watchdogd/internal/failure"
	"github.com/watchdogd/watchdogd/schema"
)

// Check is what a route's auth key asks for. It is safe for use by many goroutines.
type Check struct {
	route string
	kind  kind
}

// kind is one way to authenticate.
type kind interface {
	// check returns the name of the caller, which is empty if it has none, and the scheme
	// (RFC 9110, 11.1) by which it is known; or why the call is refused.
	check(one *call.Call, r *http.Request) (user, scheme string, err *failure.Error)
	start(ctx context.Context) error
	close()
}

// New returns the Check of a route, or nil if it is open to everyone. The error is
// schema.Problems if a file is not as it must be.
func New(route *schema.Route, shared *Shared) (*Check, error) {
	var k kind
	var err error
	switch a := route.Auth; {
	case a.Basic != nil:
		k, err = newBasic(route.Name, a.Basic, shared)
	case a.Keys != nil:
		k, err = newKeys(route.Name, a.Keys)
	case a.HMAC != nil:
		k, err = newHMAC(route.Name, a.HMAC, int64(route.Limits.Body), shared)
	case a.JWT != nil:
		k = newJWT(route.Name, a.JWT, shared)
	case a.OpenFaaS != nil:
		k = newOpenFaaS(route.Name, a.OpenFaaS, shared)
	default:
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return &Check{route: route.Name, kind: k}, nil
}

// Start begins to fetch the keys of the issuer, if the route has one. It waits for them only
// where the server must not start without them: for OpenFaaS. The error is one sentence.
func (c *Check) Start(ctx context.Context) error { return c.kind.start(ctx) }

// Close releases what the Check uses. No call may use it any more.
func (c *Check) Close() error {
	c.kind.close()
	return nil
}

// userHeader is the field by which a process learns who called.
const userHeader = "X-Auth-User"

// Check lets a call pass, with the name of its caller in one and in r's header, or returns why
// it is refused.
func (c *Check) Check(one *call.Call, r *http.Request) *failure.Error {
	user, scheme, err := c.kind.check(one, r)
	if err != nil {
		if err.Route == "" {
			err.Route = c.route
		}
		return err
	}
	if user != "" {
		one.User, one.AuthType = user, scheme
		r.Header[userHeader] = []string{user}
	}
	return nil
}

// credentials returns the value of the Authorization field for scheme. found is false if there
// is none for it; twice is true if the field was sent more than once, which two readers could
// understand differently.
func credentials(header http.Header, scheme string) (value string, found, twice bool) {
	fields := header["Authorization"]
	if len(fields) != 1 {
		return "", false, len(fields) > 1
	}
	name, value, _ := strings.Cut(fields[0], " ")
	if !strings.EqualFold(name, scheme) {
		return "", false, false
	}
	return strings.TrimSpace(value), true, false
}

// unauthorized is a 401 with this challenge.
func unauthorized(challenge, detail string) *failure.Error {
	return &failure.Error{Kind: failure.Unauthorized, Challenge: challenge, Detail: detail}
}

const twiceDetail = "the request has more than one Authorization header"

// sound reports whether a name may stand in a header field and in the log as it is: it
// would otherwise be another name to those who trim or split it.
func sound(name string) bool {
	if name == "" || len(name) > maxName || strings.TrimSpace(name) != name {
		return false
	}
	for _, c := range []byte(name) {
		if c < ' ' || c == 0x7f {
			return false
		}
	}
	return true
}

// maxName is the length in bytes of the longest name of a caller.
const maxName = 256

// Shared is what the checks of a daemon have in common, and what outlives a reload.
type Shared struct {
	log     *slog.Logger
	issuers issuers
	hashing *turns
	bodies  budget
}

// NewShared returns the Shared of a daemon. It starts nothing.
func NewShared(log *slog.Logger) *Shared {
	return &Shared{log: log, hashing: newTurns()}
}

// unavailable is a 503: whether the caller may call cannot be decided now.
func unavailable(detail string, cause error) *failure.Error {
	return &failure.Error{Kind: failure.AuthUnavailable, Detail: detail, Cause: cause, RetryAfter: retryUnavailable}
}

// gone is the failure of a call whose client left while it was checked.
func gone(ctx context.Context) *failure.Error {
	if f, ok := errors.AsType[*failure.Error](context.Cause(ctx)); ok {
		return f
	}
	return &failure.Error{Kind: failure.Gone, Cause: context.Cause(ctx)}
}
