// Package failure is the vocabulary of what can go wrong with a call. Admission
// (routes), the modes and the front make an Error; one table, in modes/respond.go,
// turns it into a status and a body. It knows nothing of HTTP.
package failure

import (
	"errors"
	"strings"
	"time"
)

// Kind is what happened, in one word of the operator's language.
type Kind uint8

// The kinds. Each has one row in the table of modes/respond.go.
const (
	Internal        Kind = iota // a bug of ours
	Malformed                   // 400: a request or form that cannot be read
	Unauthorized                // 401
	Forbidden                   // 403
	NoRoute                     // 404
	NotFound                    // 404: a static file that is not there
	Method                      // 405; Allow is set
	SlowBody                    // 408: the body came slower than timeouts.read
	BodyTooLarge                // 413
	RateLimited                 // 429: over limits.rate
	Full                        // 429: over limits.inflight and no place in the queue
	HeaderTooLarge              // 431
	Gone                        // 499, logged only: the caller went away
	StartFailed                 // 500: a forked process could not be started
	ExitFailed                  // 500: a forked process ended other than 0 before the response began
	BadUpstream                 // 502: refused, reset, nonsense, or cut short before its head was sent on
	ResponseTooBig              // 502: over limits.response
	NotReady                    // 503: no ready instance within timeouts.queue
	QueueTimeout                // 503: no place within timeouts.queue
	CrashLoop                   // 503
	Draining                    // 503
	AuthUnavailable             // 503: whether the client may call cannot be decided now
	NoRoom                      // 507: no temporary file could be made or written
	Timeout                     // 504; Timeout says which: exec, first_byte, idle, start
)

// Closes reports whether the answer to such a failure is the last on its connection: what
// follows cannot be trusted to be a request, or we are shutting down.
func (k Kind) Closes() bool {
	switch k {
	case Malformed, SlowBody, BodyTooLarge, HeaderTooLarge, Draining:
		return true
	}
	return false
}

// Error is one failed call. The zero values of all but Kind mean "does not apply".
type Error struct {
	Kind       Kind
	Route      string        // the route's name
	Detail     string        // one sentence for the caller's operator; no secrets, no file contents
	Local      string        // what more is said to a client on this machine: what a program printed, which may be private
	Timeout    string        // the key of the timeout that ended the call
	Allow      string        // Method: the value of the Allow header
	Challenge  string        // Unauthorized: the value of WWW-Authenticate
	State      string        // 503: the process's state
	NextStart  time.Time     // 503: when the next start is tried
	LastExit   string        // 503: how the process ended last, without what it printed; empty when it never did
	LastExitAt time.Time     // 503: and when
	RetryAfter time.Duration // 429 and 503; rounded up to whole seconds
	Cause      error         // for the log

	// StartFailed, ExitFailed and of a worker BadUpstream: the system's bare words, as in "exit status 3" and
	// "fork/exec /x: no such file or directory", and what the program had printed. Only
	// callers of the OpenFaaS watchdogs are told them.
	Plain  string
	Output []byte
}

// Error is the detail and then the cause, which may begin with the detail itself.
func (e *Error) Error() string {
	if e.Cause == nil {
		return e.Detail
	}
	cause := e.Cause.Error()
	if strings.HasPrefix(cause, e.Detail) {
		return cause
	}
	return e.Detail + ": " + cause
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Cause }

// Of returns the *Error in err's chain, or one of kind Internal around err.
func Of(err error) *Error {
	if e, ok := errors.AsType[*Error](err); ok {
		return e
	}
	return &Error{Kind: Internal, Detail: "internal error", Cause: err}
}
