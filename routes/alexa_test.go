package routes

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"testing/iotest"

	"github.com/watchdogd/watchdogd/schema"
)

// anAlexaRequest has the members that Amazon documents for an IntentRequest, in their order.
const anAlexaRequest = `{
  "version": "1.0",
  "session": {
    "new": true,
    "sessionId": "amzn1.echo-api.session.0b7c1f6e",
    "application": {"applicationId": "amzn1.ask.skill.5d2e3a90"},
    "attributes": {"lights": {"count": 3}},
    "user": {"userId": "amzn1.ask.account.AB12"}
  },
  "context": {
    "System": {
      "device": {"deviceId": "amzn1.ask.device.QX7", "supportedInterfaces": {"AudioPlayer": {}}},
      "application": {"applicationId": "amzn1.ask.skill.5d2e3a90"},
      "user": {"userId": "amzn1.ask.account.AB12"},
      "apiEndpoint": "https://api.eu.amazonalexa.com"
    }
  },
  "request": {
    "type": "IntentRequest",
    "requestId": "amzn1.echo-api.request.77a1",
    "timestamp": "2026-11-25T10:00:00Z",
    "dialogState": "COMPLETED",
    "locale": "de-DE",
    "intent": {"name": "%s", "confirmationStatus": "NONE",
      "slots": {"room": {"name": "room", "value": "Küche \ud83c\udf73", "confirmationStatus": "NONE"}}}
  }
}
`

func alexaRequest(intent string) string { return fmt.Sprintf(anAlexaRequest, intent) }

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
		body := alexaRequest(intent)
		if _, got := f.do(f.request("POST", "/?x", strings.NewReader(body))); got != fmt.Sprintf("turn-on %d %s", len(body), body) {
			t.Errorf("%s: got %q, want the body as it was at turn-on", intent, got)
		}
		chunked := f.request("POST", "/", iotest.OneByteReader(strings.NewReader(body)))
		chunked.ContentLength = -1
		if _, got := f.do(chunked); got != "turn-on -1 "+body {
			t.Errorf("%s in chunks: got %q, want the body as it was at turn-on", intent, got)
		}
	}
	answer, got := f.do(f.request("POST", "/", strings.NewReader(alexaRequest("turnon"))))
	if answer.StatusCode != 404 || !strings.Contains(got, "did you mean turn-on?") {
		t.Errorf("an unknown intent: got %d %s, want 404 with the nearest name", answer.StatusCode, got)
	}
	named := f.request("POST", "/", strings.NewReader(alexaRequest("turn-on")))
	named.Header.Set("X-Function", "root")
	if _, got := f.do(named); !strings.HasPrefix(got, "root ") {
		t.Errorf("the header comes first: got %q, want root", got)
	}
	if _, got := f.do(f.request("POST", "/else", strings.NewReader(alexaRequest("turn-on")))); !strings.HasPrefix(got, "root ") {
		t.Errorf("at another path: got %q, want root", got)
	}
	if _, got := f.do(f.request("PUT", "/", strings.NewReader(alexaRequest("turn-on")))); !strings.HasPrefix(got, "root ") {
		t.Errorf("by another method: got %q, want root", got)
	}
}

// notAlexa are bodies that go to the ordinary route.
var notAlexa = map[string]string{
	"a list":              "[" + small + "]",
	"text":                "hello",
	"spaces":              " \n\t ",
	"another object":      `{"a":1}`,
	"no session":          `{"request":{"intent":{"name":"api"}}}`,
	"an empty session":    strings.Replace(small, `"s"`, `""`, 1),
	"no application":      strings.Replace(small, `{"applicationId":"a"}`, `{}`, 1),
	"a numeric name":      strings.Replace(small, `"api"`, `7`, 1),
	"an empty name":       strings.Replace(small, `"api"`, `""`, 1),
	"other case":          strings.Replace(small, `"session"`, `"Session"`, 1),
	"keys with dots":      `{"session.sessionId":"s","session.application.applicationId":"a","request.intent.name":"api"}`,
	"a list on the way":   strings.Replace(small, `{"name":"api"}`, `[{"name":"api"}]`, 1),
	"more behind it":      small + small,
	"cut short":           small[:len(small)-1],
	"not JSON":            strings.Replace(small, `"s"`, `'s'`, 1),
	"a later value wins":  strings.Replace(small, `}}}`, `},"intent":{}}}`, 1),
	"deep":                `{"a":` + strings.Repeat("[", 200) + strings.Repeat("]", 200) + "," + small[1:],
	"very deep":           `{"a":` + strings.Repeat("[", 500_000),
	"larger than 1 MiB":   strings.Replace(small, `"s"`, `"`+strings.Repeat("s", 1<<20)+`"`, 1),
	"1 MiB and a byte":    small + strings.Repeat(" ", 1<<20-len(small)+1),
	"many keys":           "{" + strings.Repeat(`"k":[],`, 100_000) + `"k":0}`,
	"a byte order mark":   "\xef\xbb\xbf" + small,
	"an unfinished word":  `{"a":tru`,
	"a comma at the end":  strings.Replace(small, `"name":"api"}`, `"name":"api",}`, 1),
	"only an open brace":  "{",
	"gzip, as it happens": "\x1f\x8b\x08",
}

func TestWhatIsNoAlexaRequestGoesToTheOrdinaryRouteWhole(t *testing.T) {
	f := serveGateway(t, entry("api", echo("api")), entry("root", echo("root"), at("/")))
	for name, body := range notAlexa {
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

func TestBodiesThatAreReadForAnIntentAreBoundedTogether(t *testing.T) {
	var held atomic.Int64
	held.Store(alexaHeld)
	large := strings.Replace(small, `"s"`, `"`+strings.Repeat("s", 100<<10)+`"`, 1)
	post := func(body string) *http.Request {
		r, err := http.NewRequest("POST", "/", strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		return r
	}
	if a, err := readAhead(nil, post(small), &held); err != nil || a.intent != "api" {
		t.Errorf("a small body: got %v, want its intent", err)
	}
	if _, err := readAhead(nil, post(large), &held); err == nil {
		t.Error("a large body beside too many others: got none, want a failure")
	}
	if n := held.Load(); n != alexaHeld {
		t.Errorf("held after a refusal: got %d, want %d", n, alexaHeld)
	}
	held.Store(0)
	a, err := readAhead(nil, post(large), &held)
	if err != nil || a.intent != "api" || held.Load() != int64(len(large)-alexaFree) {
		t.Errorf("a large body: got %v, %d bytes held, want %d", err, held.Load(), len(large)-alexaFree)
	}
	a.release()
	a.release()
	if n := held.Load(); n != 0 {
		t.Errorf("held after the call: got %d, want 0", n)
	}
	a, _ = readAhead(nil, post(large), &held)
	if got, err := io.ReadAll(a); string(got) != large || err != nil || held.Load() != 0 {
		t.Errorf("held after the body was read: got %d, %v, want 0", held.Load(), err)
	}
}

func FuzzAlexaIntent(f *testing.F) {
	f.Add([]byte(alexaRequest("Turn-On")), uint8(3))
	f.Add([]byte(small), uint8(0))
	for _, body := range notAlexa {
		if len(body) < 1000 {
			f.Add([]byte(body), uint8(7))
		}
	}
	broken := errors.New("the connection broke")
	f.Fuzz(func(t *testing.T, body []byte, piece uint8) {
		var from io.Reader = bytes.NewReader(body)
		if piece%2 == 1 {
			from = io.MultiReader(from, iotest.ErrReader(broken))
		}
		if piece > 100 {
			from = iotest.OneByteReader(from)
		}
		a := &ahead{from: io.NopCloser(from), held: new(atomic.Int64)}
		intent := alexaIntent((*filling)(a))
		got, err := io.ReadAll(a)
		if !bytes.Equal(got, body) {
			t.Errorf("passed on: got %q, want %q", got, body)
		}
		if want := piece%2 == 1; (err == broken) != want {
			t.Errorf("passed on with %v, want the error of the connection: %t", err, want)
		}
		if intent != "" && (piece%2 == 1 || !bytes.Contains(body, []byte("sessionId")) && !bytes.Contains(body, []byte(`\u`))) {
			t.Errorf("got the intent %q of %q, want none", intent, body)
		}
	})
}
