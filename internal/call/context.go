package call

import (
	"context"
	"sync/atomic"
)

// Context is the context of one call. It leads to the call until that ends; what keeps the
// context longer finds none. Its memory is the front's, which needs one for each call
// anyway: it is never used for a second call.
type Context struct {
	context.Context
	call atomic.Pointer[Call]
}

type key struct{}

// Value returns the call for From, and what the server's context has.
func (x *Context) Value(k any) any {
	if k == (key{}) {
		if c := x.call.Load(); c != nil {
			return c
		}
		return nil
	}
	return x.Context.Value(k)
}

// From returns the call that ctx belongs to. Where there is none it returns an empty one,
// which belongs to nothing: it can be told and asked everything.
func From(ctx context.Context) *Call {
	if c, ok := ctx.Value(key{}).(*Call); ok {
		return c
	}
	return &Call{ctx: ctx}
}
