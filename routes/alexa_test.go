package routes

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/watchdogd/watchdogd/schema"
)

// alexaRequest has the members that Amazon documents for an IntentRequest, in their order.
func alexaRequest(t *testing.T, intent string) string {
	t.Helper()
	text, err := os.ReadFile("alexa/testdata/request.json")
	if err != nil {
		t.Fatal(err)
	}
	return strings.Replace(string(text), "INTENT", intent, 1)
}

// small is the least that is an Alexa request.
const small = `{"session":{"sessionId":"s","application":{"applicationId":"a"}},"request":{"intent":{"name":"api"}}}`

// echo answers with its name and the body.
func echo(name string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			respond(w, r, err)
			return
		}
		_, _ = fmt.Fprintf(w, "%s %d %s", name, r.ContentLength, body)
	}
}

func TestAnAlexaRequestGoesToTheRouteOfItsIntent(t *testing.T) {
	f := serveGateway(t, entry("turn-on", echo("turn-on")), entry("root", echo("root"), at("/")))
	for _, intent := range []string{"turn-on", "Turn-On", "TURN-ON"} {
		body := alexaRequest(t, intent)
		if _, got := f.do(f.request("POST", "/?x", strings.NewReader(body))); got != fmt.Sprintf("turn-on %d %s", len(body), body) {
			t.Errorf("%s: got %q, want the body as it was at turn-on", intent, got)
		}
		chunked := f.request("POST", "/", iotest.OneByteReader(strings.NewReader(body)))
		chunked.ContentLength = -1
		if _, got := f.do(chunked); got != "turn-on -1 "+body {
			t.Errorf("%s in chunks: got %q, want the body as it was at turn-on", intent, got)
		}
	}
	answer, got := f.do(f.request("POST", "/", strings.NewReader(alexaRequest(t, "turnon"))))
	if answer.StatusCode != 404 || !strings.Contains(got, "did you mean turn-on?") {
		t.Errorf("an unknown intent: got %d %s, want 404 with the nearest name", answer.StatusCode, got)
	}
	named := f.request("POST", "/", strings.NewReader(alexaRequest(t, "turn-on")))
	named.Header.Set("X-Function", "root")
	if _, got := f.do(named); !strings.HasPrefix(got, "root ") {
		t.Errorf("the header comes first: got %q, want root", got)
	}
	if _, got := f.do(f.request("POST", "/else", strings.NewReader(alexaRequest(t, "turn-on")))); !strings.HasPrefix(got, "root ") {
		t.Errorf("at another path: got %q, want root", got)
	}
	if _, got := f.do(f.request("PUT", "/", strings.NewReader(alexaRequest(t, "turn-on")))); !strings.HasPrefix(got, "root ") {
		t.Errorf("by another method: got %q, want root", got)
	}
}

func TestWhatIsNoAlexaRequestGoesToTheOrdinaryRouteWhole(t *testing.T) {
	f := serveGateway(t, entry("api", echo("api")), entry("root", echo("root"), at("/")))
	for name, body := range map[string]string{
		"text":                "hello",
		"no session":          `{"request":{"intent":{"name":"api"}}}`,
		"more behind it":      small + small,
		"larger than 1 MiB":   strings.Replace(small, `"s"`, `"`+strings.Repeat("s", 1<<20)+`"`, 1),
		"1 MiB and a byte":    small + strings.Repeat(" ", 1<<20-len(small)+1),
		"gzip, as it happens": "\x1f\x8b\x08",
	} {
		for _, length := range []int64{int64(len(body)), -1} {
			r := f.request("POST", "/", io.NopCloser(strings.NewReader(body)))
			r.ContentLength = length
			if _, got := f.do(r); got != fmt.Sprintf("root %d %s", length, body) {
				t.Errorf("%s, length %d: got %.80q, want the body as it was at root", name, length, got)
			}
		}
	}
	for _, body := range []string{small, "  \r\n\t" + small + "\n", small + strings.Repeat(" ", 1<<20-len(small))} {
		if _, got := f.do(f.request("POST", "/", strings.NewReader(body))); got != fmt.Sprintf("api %d %s", len(body), body) {
			t.Errorf("%.80q: got %.80q, want the body as it was at api", body, got)
		}
	}
}

func TestAnAlexaBodyMeetsTheLimitOfItsRoute(t *testing.T) {
	f := serveGateway(t, entry("api", echo("api"), func(r *schema.Route) { r.Limits.Body = 20 }), entry("root", echo("root"), at("/")))
	for _, length := range []int64{int64(len(small)), -1} {
		r := f.request("POST", "/", io.NopCloser(strings.NewReader(small)))
		r.ContentLength = length
		if answer, got := f.do(r); answer.StatusCode != 413 {
			t.Errorf("length %d: got %d %s, want 413", length, answer.StatusCode, got)
		}
	}
}

// A stream of JSON values is passed on as it comes.
func TestAStreamOfValuesIsNotHeldBack(t *testing.T) {
	f := serveGateway(t, entry("api", echo("api")), entry("root", func(w http.ResponseWriter, r *http.Request) {
		lines := bufio.NewScanner(r.Body)
		for lines.Scan() {
			_, _ = fmt.Fprintln(w, "got", lines.Text())
			w.(http.Flusher).Flush()
		}
	}, at("/")))
	send, body := net.Pipe()
	defer send.Close()
	r := f.request("POST", "/", body)
	r.ContentLength = -1
	answers := make(chan *http.Response, 1)
	go func() {
		answer, err := http.DefaultTransport.RoundTrip(r)
		if err != nil {
			t.Error(err)
		}
		answers <- answer
	}()
	_, _ = io.WriteString(send, `{"line":1}`+"\n")
	answer := <-answers
	if answer == nil {
		t.FailNow()
	}
	defer answer.Body.Close()
	lines := bufio.NewReader(answer.Body)
	for i := 1; i <= 3; i++ {
		if got, err := lines.ReadString('\n'); got != fmt.Sprintf("got {\"line\":%d}\n", i) || err != nil {
			t.Fatalf("line %d: got %q, %v, want it before the next is sent", i, got, err)
		}
		_, _ = fmt.Fprintf(send, "{\"line\":%d}\n", i+1)
	}
}
