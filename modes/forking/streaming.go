package forking

import (
	"errors"
	"net/http"

	"github.com/watchdogd/watchdogd/internal/call"
)

// streaming answers each call by a process of its own whose standard input is the
// body of the request and whose standard output is the body of the response, both as
// they come, in constant memory: what the program writes reaches the client at once,
// also while the client still sends.
//
// The status is withheld until the first output: a program that fails before it is a
// 500, and one that fails after it has its response cut short, so that the client
// cannot take it for a whole one. A client that leaves, a timeout or a shutdown ends
// the process's whole group.
type streaming struct{ *forking }

func (s streaming) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	one, r := call.Enter(w, r)
	defer one.Leave()
	u := one.Body()
	to := &stream{s: s, w: w, control: http.NewResponseController(w), r: r, u: u, length: -1}
	pid, err := s.call(one, r, u, false, s.printed(to), func(c *forked) { to.c = c })
	if err == nil {
		return
	}
	e := call.Outcome(r.Context(), s.route.Name, err)
	s.report(pid, e)
	if to.begun {
		one.Fail(e)
		panic(http.ErrAbortHandler)
	}
	s.fail(w, r, u, e)
}

// stream is the response of one call, sent as it is printed.
type stream struct {
	s       streaming
	w       http.ResponseWriter
	control *http.ResponseController // of w
	r       *http.Request
	u       *call.Body
	c       *forked
	begun   bool
	unsent  bool  // something was begun or written since the last flush
	none    bool  // the response has no body, whatever is printed
	length  int64 // that the program said its body has, or -1
	sent    int64
}

func (t *stream) begin(h *cgiHead, first []byte) error {
	if err := t.c.begin(); err != nil {
		return err
	}
	t.begun, t.unsent = true, true
	if h == nil {
		t.w.Header()["Content-Type"] = t.s.contentType(t.r, first)
		t.w.WriteHeader(http.StatusOK)
		return nil
	}
	if t.none = h.bodiless(t.r.Method); !t.none {
		t.length = h.length
	}
	h.write(t.w.Header(), t.s.contentType(t.r, nil))
	t.w.WriteHeader(h.status)
	return nil
}

func (t *stream) write(p []byte) error {
	if t.none {
		return nil
	}
	if t.length >= 0 {
		p = p[:min(int64(len(p)), t.length-t.sent)]
	}
	if len(p) == 0 {
		return nil // what is more than the program has announced
	}
	n, err := t.w.Write(p)
	t.sent += int64(n)
	t.unsent = true
	if err != nil {
		return call.Gone(err)
	}
	return nil
}

// flush sends what is written. Our own server always can.
func (t *stream) flush() error {
	if !t.unsent {
		return nil
	}
	t.unsent = false
	err := t.control.Flush()
	if err != nil && !errors.Is(err, http.ErrNotSupported) {
		return call.Gone(err)
	}
	return nil
}

func (t *stream) end() error {
	if t.sent < t.length {
		return errShort
	}
	return nil
}
