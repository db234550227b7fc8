package call

import (
	"context"
	"sync"
	"sync/atomic"
	"time"
)

// Context is the context of one call. It leads to the call until that ends; what keeps the
// context longer finds none. What a context of package context costs is spent only when
// somebody asks for its end, which most calls never do. Its memory is the front's: see Kept.
type Context struct {
	parent context.Context
	call   atomic.Pointer[Call]

	mu     sync.Mutex // guards what follows, but for the reading of inner
	inner  atomic.Pointer[inner]
	ended  bool
	reason error
}

// inner is what is behind a Context that somebody has asked for its end.
type inner struct {
	context.Context
	cancel context.CancelCauseFunc
}

type key struct{}

// begin makes x the context of c.
func (x *Context) begin(parent context.Context, c *Call) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.parent, x.ended, x.reason = parent, false, nil
	x.inner.Store(nil)
	x.call.Store(c)
}

// end ends x for a reason; nil is none but that the call is over. The first stands.
func (x *Context) end(reason error) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.ended {
		return
	}
	x.ended, x.reason = true, reason
	if in := x.inner.Load(); in != nil {
		in.cancel(reason)
	} else if reason != nil {
		x.make()
	}
}

// cause is why x has ended, and nil before. Only the call itself asks.
func (x *Context) cause() error {
	if in := x.inner.Load(); in != nil {
		return context.Cause(in)
	}
	return context.Cause(x.parent)
}

// Kept reports whether somebody has asked x for its end. Only then may it be in the hands of
// code that keeps it longer than the call, which must find it ended, and not another call's.
func (x *Context) Kept() bool { return x.inner.Load() != nil }

// make makes the inner context. x.mu is held.
func (x *Context) make() *inner {
	in := new(inner)
	in.Context, in.cancel = context.WithCancelCause(x.parent)
	if x.ended {
		in.cancel(x.reason)
	}
	x.inner.Store(in)
	return in
}

// made returns the inner context.
func (x *Context) made() *inner {
	if in := x.inner.Load(); in != nil {
		return in
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	if in := x.inner.Load(); in != nil {
		return in
	}
	return x.make()
}

// Value returns the call for From, and what the server's context has.
func (x *Context) Value(k any) any {
	if k == (key{}) {
		if c := x.call.Load(); c != nil {
			return c
		}
		return nil
	}
	return x.made().Value(k)
}

// Done is closed at the end of x.
func (x *Context) Done() <-chan struct{} { return x.made().Done() }

// Err is nil until x ends.
func (x *Context) Err() error {
	if x.inner.Load() == nil && x.call.Load() != nil {
		return x.parent.Err() // nobody has ended x itself
	}
	return x.made().Err()
}

// Deadline is the server's, which sets none.
func (x *Context) Deadline() (time.Time, bool) { return x.parent.Deadline() }

// From returns the call that ctx belongs to. Where there is none it returns an empty one,
// which belongs to nothing: it can be told and asked everything.
func From(ctx context.Context) *Call {
	if c, ok := ctx.Value(key{}).(*Call); ok {
		return c
	}
	return &Call{ctx: ctx}
}
