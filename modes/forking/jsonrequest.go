package forking

import (
	"encoding/json"
	"io"
	"net/http"

	"github.com/watchdogd/watchdogd/internal/spill"
)

// jsonRequest reads a request into the one JSON object that a program of a route with
// request: json finds on its standard input, as the classic watchdog's marshal_request
// makes it:
//
//	{"header": {"Name": ["value", ...], ...}, "body": {"raw": "BASE64"}}
//
// The names are in their canonical form. The method, the path and the Host are in the
// variables only. body is nil for a request without one.
func jsonRequest(header http.Header, body io.Reader) (*spill.Body, error) {
	head, err := json.Marshal(header)
	if err != nil {
		return nil, err
	}
	return jsonText(func(out *jsonWriter) error {
		out.raw(`{"header":`)
		_, _ = out.Write(head) // Flush has the error
		out.raw(`,"body":{"raw":"`)
		if body != nil {
			if err := out.base64(body); err != nil {
				return err
			}
		}
		out.raw(`"}}`)
		return nil
	})
}
