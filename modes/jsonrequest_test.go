package modes

import (
	"bytes"
	"crypto/rand"
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"
)

// told is what a program of a route with request: json reads.
type told struct {
	Header http.Header `json:"header"`
	Body   *struct {
		Raw *[]byte `json:"raw"`
	} `json:"body"`
}

func TestRequestIsOneJSONObjectOnStdin(t *testing.T) {
	for _, mode := range []string{"streaming", "serializing"} {
		s := serveRoute(t, "mode: "+mode+"\nfprocess: cat\nrequest: json")
		for _, size := range []int{0, 1, 5, 100 << 10, 3 << 20} {
			want := make([]byte, size)
			rand.Read(want)
			for _, chunked := range []bool{false, true} {
				var body io.Reader = bytes.NewReader(want)
				if chunked {
					body = io.MultiReader(body)
				}
				_, got := s.do(t, "POST", "/x?y", body, "x-many", "one", "X-Many", "two", "x_under", "<u>")
				var read told
				if err := json.Unmarshal([]byte(got), &read); err != nil || read.Body == nil || read.Body.Raw == nil {
					t.Fatalf("%s, %d bytes: got %v: %.200q, want no error, read.Body other than nil and read.Body.Raw other than nil", mode, size, err, got)
				}
				if !bytes.Equal(*read.Body.Raw, want) || strings.Join(read.Header["X-Many"], " ") != "one two" || read.Header.Get("X_under") != "<u>" || read.Header["Host"] != nil {
					t.Errorf("%s, %d bytes: got %d bytes, %v, want all of them, and the header without Host", mode, size, len(*read.Body.Raw), read.Header)
				}
			}
		}
	}
}

func TestVariablesHaveTheLengthOfTheObjectAndClassicOnesOfTheRequest(t *testing.T) {
	for environ, want := range map[string]string{"openfaas": "N application/json", "cgi": "N application/json", "classic": "5 text/x"} {
		s := serveRoute(t, "mode: serializing\nshell: true\nrequest: json\nenviron: "+environ+"\n"+
			`fprocess: 'wc -c; echo "$Http_Content_Length$CONTENT_LENGTH $Http_Content_Type$CONTENT_TYPE"'`)
		_, got := s.do(t, "POST", "/", strings.NewReader("hello"), "Content-Type", "text/x")
		length, vars, _ := strings.Cut(got, "\n")
		if vars != strings.ReplaceAll(want, "N", length)+"\n" {
			t.Errorf("%s: got %q %v, want %v", environ, got, vars, strings.ReplaceAll(want, "N", length)+"\n")
		}
	}
}

func TestRequestThatIsTooLargeStartsNoProgram(t *testing.T) {
	s := serveRoute(t, "mode: serializing\nfprocess: cat\nrequest: json")
	s.limit = 5
	resp, body := s.do(t, "POST", "/", strings.NewReader("123456"))
	wantProblem(t, resp, body, 413)
}

func TestTypeIsTheRequestsElseByTheLookOfTheOutput(t *testing.T) {
	for _, c := range []struct{ key, program, typ, want string }{
		{"auto", "cat", "a/b", "a/b"},
		{"auto", "true", "a/b", "a/b"},
		{"auto", "cat", "", "text/plain; charset=utf-8"},
		{"auto", "head -c 2000000 /dev/zero", "", "application/octet-stream"},
		{"auto", "echo '<html>'", "", "text/html; charset=utf-8"},
		{"auto", "true", "", ""},
		{"c/d", "cat", "a/b", "c/d"},
		{"''", "cat", "a/b", ""},
	} {
		for _, mode := range []string{"streaming", "serializing"} {
			s := serveRoute(t, "mode: "+mode+"\nshell: true\nfprocess: \""+c.program+"\"\ncontent_type: "+c.key)
			var header []string
			if c.typ != "" {
				header = []string{"Content-Type", c.typ}
			}
			resp, _ := s.do(t, "POST", "/", strings.NewReader("hello"), header...)
			if got := resp.Header.Get("Content-Type"); got != c.want || resp.StatusCode != 200 || (resp.Header["Content-Type"] != nil) != (c.want != "" || c.key == "''") {
				t.Errorf("%s: %+v: got %d %q, want 200 and the Content-Type that is configured", mode, c, resp.StatusCode, resp.Header["Content-Type"])
			}
		}
	}
	s := serveRoute(t, "mode: serializing\nfprocess: [printf, 'Status: 201\\n\\nhello']\nresponse: cgi\ncontent_type: auto")
	for _, typ := range []string{"", "a/b"} {
		if resp, body := s.do(t, "POST", "/", nil, "Content-Type", typ); resp.StatusCode != 201 || body != "hello" || resp.Header.Get("Content-Type") != typ {
			t.Errorf(`got %d %q %q %q, want 201 "hello" %q`, resp.StatusCode, body, resp.Header["Content-Type"], resp.Header.Get("Content-Type"), typ)
		}
	}
}
