package requests

import (
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
)

const sample = `# what the pipeline does
POST /upper?a=b
Content-Type: text/plain
X-Many: one
X-Many: two
Host: example.org

hello

again
200
# the text
HELLO
Content-Type: text/plain

GET /
404
`

func TestAFileIsReadAsItIsWritten(t *testing.T) {
	for name, text := range map[string]string{"plain": sample, "Windows": strings.ReplaceAll(sample, "\n", "\r\n")} {
		f, err := Parse("r.txt", text)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		want := []*Request{
			{Line: 2, Method: "POST", Target: "/upper?a=b", Host: "example.org", Header: http.Header{"Content-Type": {"text/plain"}, "X-Many": {"one", "two"}},
				Body: "hello\n\nagain", Status: 200, Want: []Want{{13, "HELLO"}, {14, "Content-Type: text/plain"}}, statusAt: 10},
			{Line: 16, Method: "GET", Target: "/", Header: http.Header{}, Status: 404, statusAt: 16},
		}
		if !reflect.DeepEqual(f.Requests, want) {
			t.Errorf("%s: got %+v, %+v, want %+v, %+v", name, f.Requests[0], f.Requests[1], want[0], want[1])
		}
		if got := f.Updated(nil); got != text {
			t.Errorf("%s: got %q where nothing differs, want %q", name, got, text)
		}
	}
}

func TestEveryMistakeIsSaidWithItsLine(t *testing.T) {
	for text, want := range map[string]string{
		"":                                        `r.txt:1: there is no request; write one such as "GET /" and below it the status that it gets, such as 200`,
		"# only a comment\n":                      `r.txt:1: there is no request; write one such as "GET /" and below it the status that it gets, such as 200`,
		"GET\n200\n":                              `r.txt:1: "GET" is not a request line; write one such as "GET /path"`,
		"get /\n200\n":                            `r.txt:1: "get /" is not a request line; write one such as "GET /path"`,
		"GET a\n200\n":                            `r.txt:1: "a" is not a path; it begins with / and has no spaces (%20 is one)`,
		"GET /a b\n200\n":                         `r.txt:1: "/a b" is not a path; it begins with / and has no spaces (%20 is one)`,
		"GET / HTTP/1.1\n200\n":                   `r.txt:1: write the request line without its HTTP version: "GET /"`,
		"GET /\nhello\n200\n":                     `r.txt:2: "hello" is not a header; write "Name: value", an empty line before a body, or the status of the answer`,
		"GET /\nA: \x01\n200\n":                   `r.txt:2: the value of A has a control character`,
		"GET /\nContent-Length: 1\n200\n":         `r.txt:2: Content-Length is set for you; remove the line`,
		"GET /\n100\n":                            `r.txt:2: 100 is not the status of an answer; it is 101 or 200 to 599`,
		"GET /\n700\n":                            `r.txt:2: 700 is not the status of an answer; it is 101 or 200 to 599`,
		"GET a\n200\n\nGET b\n200\n":              "r.txt:1: \"a\" is not a path; it begins with / and has no spaces (%20 is one)\nr.txt:4: \"b\" is not a path; it begins with / and has no spaces (%20 is one)",
		strings.Repeat("GET /\n200\n\n", 10001):   "r.txt:30001: there are more than 10000 requests",
		"GET " + strings.Repeat("x", 100) + "\n2": `r.txt:1: "` + strings.Repeat("x", 60) + `..." is not a path; it begins with / and has no spaces (%20 is one)` + "\n" + `r.txt:2: "2" is not a header; write "Name: value", an empty line before a body, or the status of the answer`,
	} {
		if _, err := Parse("r.txt", text); err == nil || err.Error() != want {
			t.Errorf("%.60q: got\n%v, want\n%s", text, err, want)
		}
	}
	many := strings.Repeat("GET a\n200\n\n", 100)
	_, err := Parse("r.txt", many)
	if mistakes, ok := errors.AsType[Mistakes](err); !ok || len(mistakes) != mostMistakes {
		t.Errorf("got %d mistakes of 100, want %d", len(mistakes), mostMistakes)
	}
	f, err := Parse("r.txt", "POST /a\n\nhello\n")
	if err != nil {
		t.Fatal(err)
	}
	if err := f.Unanswered(); err == nil || !strings.HasPrefix(err.Error(), "r.txt:1: the request has no status; ") {
		t.Errorf("got %v, want that the request has no status", err)
	}
}

func TestALargeFileIsRefused(t *testing.T) {
	name := filepath.Join(t.TempDir(), "large")
	if err := os.WriteFile(name, make([]byte, mostBytes+1), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Read(name); err == nil || !strings.HasSuffix(err.Error(), "is larger than 4 MiB") {
		t.Errorf("got %v, want that it is larger than 4 MiB", err)
	}
}

// Whatever the file and the answer: what is read is in the file, an update is read again, and
// then the same answer is as the file says.
func FuzzRequests(f *testing.F) {
	f.Add(sample, 200, "text/plain", "HELLO\n# no comment\n200\n\nGET /\n")
	f.Add("GET /\r\n200\r\nx\r\n", 500, "", "\xff\x00\r\r\n")
	f.Add("GET /", 204, "a: b", "")
	f.Add("POST /\n\nbody\n\n\n", 404, "", "a\r")
	f.Add("GET /\n\n\n\n# a comment at the end", 357, "", "")
	f.Fuzz(func(t *testing.T, text string, status int, kind, body string) {
		file, err := Parse("r.txt", text)
		if err != nil {
			if mistakes, ok := errors.AsType[Mistakes](err); !ok || len(mistakes) == 0 {
				t.Fatalf("got %v, want mistakes", err)
			}
			return
		}
		if status < 200 || status > 599 {
			status = 200
		}
		got := Answer{Status: status, Header: http.Header{}, Body: body}
		if kind != "" && !strings.ContainsFunc(kind, func(r rune) bool { return r < ' ' || r == 0x7f || r == '�' }) {
			got.Header.Set("Content-Type", strings.TrimSpace(kind))
		}
		var results []Result
		for _, r := range file.Requests {
			results = append(results, compared(file, r, got))
		}
		updated := file.Updated(results)
		again, err := Parse("r.txt", updated)
		if err != nil {
			t.Fatalf("got %v of the update\n%q, want none", err, updated)
		}
		if len(again.Requests) != len(file.Requests) {
			t.Fatalf("got %d requests in the update\n%q, want %d", len(again.Requests), updated, len(file.Requests))
		}
		for i, r := range again.Requests {
			before := file.Requests[i]
			if r.Method != before.Method || r.Target != before.Target || r.Body != before.Body || fmt.Sprint(r.Header) != fmt.Sprint(before.Header) {
				t.Errorf("got the request %+v after the update, want %+v", r, before)
			}
			if result := compared(again, r, got); len(result.Differs) > 0 {
				t.Errorf("got %v after the update\n%q, want none", result.Differs, updated)
			}
		}
	})
}

func compared(f *File, r *Request, got Answer) Result {
	return Result{Request: r, Got: got, Differs: r.compare(f, got)}
}
