package modes

import (
	"encoding/json"
	"io"
	"net/http"
	"strings"

	"github.com/watchdogd/watchdogd/internal/spill"
)

// jsonRequest reads a request into the one JSON object that a program of a route with
// request: json finds on its standard input, as the classic watchdog's marshal_request
// makes it:
//
//	{"header": {"Name": ["value", ...], ...}, "body": {"raw": "BASE64"}}
//
// The names are in their canonical form. The method, the path and the Host are in the
// variables only. body is nil where there is none.
func jsonRequest(header http.Header, body io.Reader) (*spill.Body, error) {
	head, err := json.Marshal(header)
	if err != nil {
		return nil, err
	}
	if body == nil {
		body = strings.NewReader("")
	}
	object := spill.New(0)
	out := &jsonWriter{w: object}
	defer out.close()
	out.raw(`{"header":`)
	_, _ = out.Write(head) // err stays in out
	out.raw(`,"body":{"raw":"`)
	out.base64(body)
	out.raw(`"}}`)
	if out.flush(); out.err != nil {
		object.Free()
		return nil, out.err
	}
	return object, nil
}
