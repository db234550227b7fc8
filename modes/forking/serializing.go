package forking

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"

	"github.com/watchdogd/watchdogd/internal/call"
	"github.com/watchdogd/watchdogd/internal/failure"
	"github.com/watchdogd/watchdogd/internal/spill"
	"github.com/watchdogd/watchdogd/schema"
)

// serializing answers each call by a process of its own that is given the whole body
// of the request and whose output is taken whole before any of it is sent, so that
// its exit status decides the status of the response. Bodies of more than 1 MiB are
// in temporary files, not in memory; limits.response bounds the output.
type serializing struct{ *forking }

func (s serializing) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	one, r := call.Enter(w, r)
	defer one.Leave()
	u := one.Body()
	whole := &collected{body: spill.New(int64(s.route.Limits.Response)), limit: s.route.Limits.Response, method: r.Method}
	defer whole.body.Free()
	if pid, err := s.call(one, r, u, true, s.printed(whole), nil); err != nil {
		e := call.Outcome(r.Context(), s.route.Name, err)
		s.report(pid, e)
		if e.Kind == failure.ExitFailed {
			e.Output = whole.body.First(spill.InMemory)
		}
		s.fail(w, r, u, e)
		return
	}
	if err := whole.send(one, w, r, s.forking); err != nil {
		panic(http.ErrAbortHandler) // shorter than its Content-Length
	}
}

// collected is a response that is held until it is complete.
type collected struct {
	head   *cgiHead // nil in raw
	body   *spill.Body
	limit  schema.Size
	method string // of the request
}

func (t *collected) begin(h *cgiHead, _ []byte) error {
	t.head = h
	return nil
}

func (t *collected) write(p []byte) error {
	_, err := t.body.Write(p)
	if errors.Is(err, spill.ErrTooLong) {
		err = &failure.Error{Kind: failure.ResponseTooBig,
			Detail: fmt.Sprintf("the program's output is larger than limits.response, which is %d bytes", t.limit)}
	}
	return err
}

func (t *collected) flush() error { return nil }

// end compares the body with what the program said of it. What is more than it has
// announced is not sent, as in streaming.
func (t *collected) end() error {
	if t.head != nil && !t.head.bodiless(t.method) && t.body.Size() < t.head.length {
		return errShort
	}
	return nil
}

// send sends the response. Nothing waits for a client that does not take it longer
// than the call may last.
func (t *collected) send(c *call.Call, w http.ResponseWriter, r *http.Request, f *forking) error {
	status, length := http.StatusOK, t.body.Size()
	header := w.Header()
	if t.head == nil {
		header["Content-Type"] = f.contentType(r, t.body.First(512))
	} else {
		status = t.head.status
		t.head.write(header, f.contentType(r, nil))
		if t.head.length >= 0 {
			length = t.head.length
		}
		if t.head.bodiless(r.Method) && (r.Method != http.MethodHead || t.head.length >= 0) {
			w.WriteHeader(status)
			return nil
		}
	}
	header["Content-Length"] = []string{strconv.FormatInt(length, 10)}
	if !c.Answer() {
		return context.Cause(r.Context())
	}
	w.WriteHeader(status)
	var err error
	if r.Method != http.MethodHead {
		err = t.body.CopyTo(w, length)
	}
	if err == nil {
		err = context.Cause(r.Context()) // what the server still holds will not leave
	}
	return err
}

var _ io.Closer = serializing{}
