package requests

import (
	"encoding/xml"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/watchdogd/watchdogd/internal/testkit"
)

// parsed is a file that must be right.
func parsed(t *testing.T, text string) *File {
	t.Helper()
	f, err := Parse("r.txt", text)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func TestARequestIsSentAsItIsWritten(t *testing.T) {
	for text, want := range map[string]string{
		"GET /a%2Fb//../c?x=%zz\n200":                      "GET /a%2Fb//../c?x=%zz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n",
		"POST /\nHost: example.org\nX: y\n\nhi\n\n200":     "POST / HTTP/1.1\r\nHost: example.org\r\nConnection: close\r\nContent-Length: 3\r\nX: y\r\n\r\nhi\n",
		"DELETE /\n200":                                    "DELETE / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Length: 0\r\n\r\n",
		"OPTIONS *\n200":                                   "OPTIONS * HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Length: 0\r\n\r\n",
		"GET /\nUpgrade: websocket\n101":                   "GET / HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n",
		"PUT /\nContent-Type: a\n\n{\n\n \"a\": 1\n}\n200": "PUT / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Length: 12\r\nContent-Type: a\r\n\r\n{\n\n \"a\": 1\n}",
	} {
		if got := parsed(t, text).Requests[0].text(); got != want {
			t.Errorf("%q: got\n%q, want\n%q", text, got, want)
		}
	}
}

func TestWhatDiffersIsSaid(t *testing.T) {
	const text = "POST /\n\nhello\n200\nX-A: b\nHELLO\n"
	for name, c := range map[string]struct {
		answer string
		want   []string
	}{
		"as it should be":   {"HTTP/1.1 200 OK\r\nX-A: b\r\nContent-Length: 5\r\n\r\nHELLO", nil},
		"after interim":     {"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.1 200 OK\r\nX-A: b\r\n\r\nHELLO", nil},
		"another status":    {"HTTP/1.1 500 Oops\r\nX-A: b\r\nContent-Length: 5\r\n\r\nHELLO", []string{"r.txt:4: the status is 500, want 200"}},
		"without the lines": {"HTTP/1.1 200 OK\r\nX-A: c\r\nContent-Length: 2\r\n\r\nno", []string{`r.txt:5: the answer lacks "X-A: b"`, `r.txt:6: the answer lacks "HELLO"`}},
		"cut off":           {"HTTP/1.1 200 OK\r\nX-A: b\r\nContent-Length: 9\r\n\r\nHELLO", []string{"r.txt:1: the answer was cut off after 5 bytes of its body: unexpected EOF"}},
		"no answer":         {"", []string{"r.txt:1: the connection was closed without an answer"}},
		"half a head":       {"HTTP/1.1 200", []string{"r.txt:1: the connection was closed without an answer"}},
		"not HTTP":          {"SSH-2.0\r\n\r\n", []string{`r.txt:1: malformed HTTP response "SSH-2.0"`}},
	} {
		address := testkit.Upstream(t, func(_ int, conn *testkit.Conn) {
			conn.Head()
			conn.Take(len("hello"))
			conn.Send(c.answer)
		})
		f := parsed(t, text)
		var got []string
		for _, d := range (Server{Address: address, Timeout: testkit.Patience}).Ask(t.Context(), f, f.Requests[0]).Differs {
			got = append(got, d.String())
		}
		if strings.Join(got, "\n") != strings.Join(c.want, "\n") {
			t.Errorf("%s: got %q, want %q", name, got, c.want)
		}
	}
}

func TestARequestThatIsNotAnsweredIsGivenUp(t *testing.T) {
	address := testkit.Upstream(t, func(_ int, c *testkit.Conn) {
		c.Head()
		c.Tail() // until the client closes
	})
	f := parsed(t, "GET /\n200\n")
	result := Server{Address: address, Timeout: time.Millisecond}.Ask(t.Context(), f, f.Requests[0])
	if got, want := fmt.Sprint(result.Differs), "[r.txt:1: not answered within 1ms]"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	result = Server{Address: testkit.FreeAddress(t), Timeout: testkit.Patience}.Ask(t.Context(), f, f.Requests[0])
	if got := fmt.Sprint(result.Differs); !strings.Contains(got, "r.txt:1: connect to watchdogd: ") || !strings.Contains(got, "refused") {
		t.Errorf("got %s, want that the connection was refused", got)
	}
}

// What a CI system reads is XML, whatever the answer was.
func TestAReportIsXML(t *testing.T) {
	f := parsed(t, "GET /<&\"'>\n200\n\nGET /b\n200\n")
	runs := []Run{
		{File: f, Err: fmt.Errorf("ended: \x00 <&>"), Results: []Result{
			{Request: f.Requests[0], Got: Answer{Status: 500, Proto: "HTTP/1.1", Body: "\x00\xff]]> \u009b & <a> \ufffe\n"}, Differs: []Mistake{{"r.txt", 2, "the status is \"500\""}, {"r.txt", 2, "more"}}},
			{Request: f.Requests[1], Got: Answer{Status: 200}},
		}},
	}
	var out strings.Builder
	if err := JUnit(&out, runs); err != nil {
		t.Fatal(err)
	}
	var read struct {
		Suites []struct {
			Tests    int `xml:"tests,attr"`
			Failures int `xml:"failures,attr"`
			Errors   int `xml:"errors,attr"`
			Cases    []struct {
				Name    string `xml:"name,attr"`
				Failure *struct {
					Message string `xml:"message,attr"`
					Text    string `xml:",chardata"`
				} `xml:"failure"`
			} `xml:"testcase"`
		} `xml:"testsuite"`
	}
	if err := xml.Unmarshal([]byte(out.String()), &read); err != nil {
		t.Fatalf("got %v, want XML:\n%s", err, out.String())
	}
	suite := read.Suites[0]
	if suite.Tests != 3 || suite.Failures != 1 || suite.Errors != 1 || len(suite.Cases) != 3 {
		t.Errorf("got %d tests, %d failures, %d errors, %d cases, want 3, 1, 1, 3", suite.Tests, suite.Failures, suite.Errors, len(suite.Cases))
	}
	if first := suite.Cases[0]; first.Name != "GET /<&\"'> (line 1)" || first.Failure == nil || first.Failure.Message != `the status is "500"` || !strings.Contains(first.Failure.Text, "]]>") {
		t.Errorf("got %+v, want the first request with its failure", first)
	}
}
