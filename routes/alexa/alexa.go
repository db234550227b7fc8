// Package alexa finds the name of a function in an Alexa request: the gateway of OpenFaaS
// calls the function that is named like the intent.
package alexa

import (
	"bufio"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"os"
	"strings"
	"sync/atomic"
	"time"

	"github.com/watchdogd/watchdogd/internal/failure"
	"github.com/watchdogd/watchdogd/internal/http1"
)

// Possible reports whether a request has to be read to learn whether it is Alexa's.
func Possible(r *http.Request, f *http1.Fields) bool {
	return r.Method == http.MethodPost && r.ContentLength != 0 && r.ContentLength <= largest &&
		r.Body != nil && !f.Has("Content-Encoding") && !f.Has("Upgrade")
}

const (
	largest  = 1 << 20          // the largest body that is read for an intent
	deepest  = 100              // of its JSON
	patience = 30 * time.Second // how long it may take to come
	mostHeld = 16 << 20         // bytes that all calls together may hold
	free     = 8 << 10          // of each call, which are not counted
)

// Body is the body of a request of which the beginning was read to find an Alexa intent.
// It reads as the whole body, byte for byte.
type Body struct {
	Intent string // empty: it is not an Alexa request

	from    io.ReadCloser
	read    []byte // what was read
	passed  int    // of it
	err     error  // of from, and what follows read; nil is the rest of from
	held    *atomic.Int64
	counted atomic.Int64 // in held
}

// Read reads the body of r as far as it takes to know whether it is an Alexa request:
// all of it if it is one, and otherwise to the first byte that says no. r.Body reads as
// before. The failure is that of a server that holds too much of other bodies.
func Read(w http.ResponseWriter, r *http.Request, held *atomic.Int64) (*Body, *failure.Error) {
	a := &Body{from: r.Body, held: held}
	r.Body = a
	control, over := http.NewResponseController(w), make(chan struct{})
	late := time.AfterFunc(patience, func() {
		defer close(over)
		_ = control.SetReadDeadline(time.Unix(1, 0)) // a server without deadlines has its own bounds
	})
	a.Intent = intentIn((*filling)(a))
	if !late.Stop() {
		if <-over; !errors.Is(a.err, os.ErrDeadlineExceeded) {
			_ = control.SetReadDeadline(time.Time{}) // as above: all came in the last moment
		}
	}
	if errors.Is(a.err, errHeld) {
		a.Release()
		return nil, &failure.Error{Kind: failure.Full, RetryAfter: time.Second,
			Detail: "too many requests wait for the gateway to read their bodies"}
	}
	return a, nil
}

// Read reads the body from its beginning.
func (a *Body) Read(p []byte) (int, error) {
	if a.passed < len(a.read) {
		n := copy(p, a.read[a.passed:])
		if a.passed += n; a.passed < len(a.read) {
			return n, nil
		}
		a.read, a.passed = nil, 0
		a.Release() // a long call holds nothing of it
		if a.err == io.EOF {
			return n, io.EOF
		}
		return n, nil
	}
	if a.err != nil {
		return 0, a.err
	}
	return a.from.Read(p)
}

// Close closes the body.
func (a *Body) Close() error { return a.from.Close() }

// Buffered is how many bytes can be read without waiting.
func (a *Body) Buffered() int64 {
	n := int64(len(a.read) - a.passed)
	if from, ok := a.from.(interface{ Buffered() int64 }); ok && a.err == nil {
		n += from.Buffered()
	}
	return n
}

// Release gives back what the body holds of the memory for all of them.
func (a *Body) Release() {
	if a != nil {
		a.held.Add(-a.counted.Swap(0))
	}
}

// filling is a Body while it is read ahead: what is read is kept.
type filling Body

var (
	errLarge = errors.New("larger than an Alexa request")
	errHeld  = errors.New("too many bodies are held")
)

// Read reads from the connection.
func (f *filling) Read(p []byte) (int, error) {
	if f.err != nil {
		return 0, f.err
	}
	room := largest - len(f.read)
	if room == 0 {
		return 0, errLarge
	}
	n, err := f.from.Read(p[:min(len(p), room)])
	f.read = append(f.read, p[:n]...)
	f.err = err
	if more := int64(len(f.read)) - free - f.counted.Load(); more > 0 {
		f.counted.Add(more)
		if f.held.Add(more) > mostHeld {
			f.err = errHeld
			return n, errHeld
		}
	}
	return n, err
}

// intentIn reads one JSON text from r, and returns the name of the intent if it is
// an Alexa request: an object with a session of an application, and a request of an intent.
// It stops at the first byte that says no.
func intentIn(r io.Reader) string {
	all := bufio.NewReader(r)
	if first, err := firstByte(all); err != nil || first != '{' {
		return ""
	}
	in := json.NewDecoder(all)
	in.UseNumber()
	found := map[string]string{}
	if !walk(in, "", 0, found) {
		return ""
	}
	intent := found[".request.intent.name"]
	if intent == "" || found[".session.sessionId"] == "" || found[".session.application.applicationId"] == "" {
		return ""
	}
	if _, err := in.Token(); err != io.EOF { // something follows
		return ""
	}
	return intent
}

// firstByte returns the first byte of r that is not a space, and leaves it there.
func firstByte(r *bufio.Reader) (byte, error) {
	for {
		switch b, err := r.ReadByte(); {
		case err != nil:
			return 0, err
		case b != ' ' && b != '\t' && b != '\n' && b != '\r':
			return b, r.UnreadByte()
		}
	}
}

// paths are the values that make a request one of Alexa, with what leads to them.
var paths = map[string]bool{
	".session": true, ".session.sessionId": true, ".session.application": true, ".session.application.applicationId": true,
	".request": true, ".request.intent": true, ".request.intent.name": true,
}

// walk reads the next value of in, which is at path, and notes the strings of paths in
// found: of a key that comes twice the last value, as JSON readers do. It reports whether the
// value is sound and not too deep.
func walk(in *json.Decoder, path string, depth int, found map[string]string) bool {
	token, err := in.Token()
	if err != nil || depth > deepest {
		return false
	}
	known := path == "" && depth == 0 || paths[path]
	if known {
		forget(found, path)
	}
	switch value := token.(type) {
	case string:
		if known {
			found[path] = value
		}
	case json.Delim:
		for in.More() {
			inner := "?" // nothing that is looked for is in a list, or in what is not known
			if value == '{' {
				key, err := in.Token()
				if err != nil {
					return false
				}
				if name, ok := key.(string); ok && known && !strings.Contains(name, ".") {
					inner = path + "." + name
				}
			}
			if !walk(in, inner, depth+1, found) {
				return false
			}
		}
		_, err := in.Token() // the end of it
		return err == nil
	}
	return true
}

// forget removes what an earlier value at path had.
func forget(found map[string]string, path string) {
	for known := range found {
		if len(known) >= len(path) && known[:len(path)] == path && (len(known) == len(path) || known[len(path)] == '.') {
			delete(found, known)
		}
	}
}
