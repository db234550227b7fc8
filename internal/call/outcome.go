package call

import (
	"context"
	"errors"

	"github.com/watchdogd/watchdogd/internal/failure"
)

// Outcome names what went wrong with a call of route. Once ctx, which is the call's, has
// ended, that is the reason: whatever else happened is its consequence.
func Outcome(ctx context.Context, route string, err error) *failure.Error {
	e := *failure.Of(err)
	if ctx.Err() != nil {
		e = *Gone(context.Cause(ctx))
		if cause, ok := errors.AsType[*failure.Error](e.Cause); ok {
			e = *cause
		}
	}
	e.Route = route
	return &e
}

// Gone is the failure of a call whose client is not there any more: err says how that showed.
func Gone(err error) *failure.Error {
	return &failure.Error{Kind: failure.Gone, Detail: "the client went away", Cause: err}
}
