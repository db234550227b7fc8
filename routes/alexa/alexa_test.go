package alexa

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"testing/iotest"
)

// small is the least that is an Alexa request.
const small = `{"session":{"sessionId":"s","application":{"applicationId":"a"}},"request":{"intent":{"name":"api"}}}`

// notAlexa are bodies that are no Alexa request.
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

func TestWhatIsNoAlexaRequestHasNoIntentAndIsPassedOnWhole(t *testing.T) {
	for name, body := range notAlexa {
		r, err := http.NewRequest("POST", "/", strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		a, refusal := Read(nil, r, new(atomic.Int64))
		if refusal != nil || a.Intent != "" {
			t.Errorf("%s: got the intent %q, %v, want none", name, a.Intent, refusal)
		}
		if got, err := io.ReadAll(r.Body); string(got) != body || err != nil {
			t.Errorf("%s: got %d bytes, %v, want the %d of the body", name, len(got), err, len(body))
		}
	}
}

func TestBodiesThatAreReadForAnIntentAreBoundedTogether(t *testing.T) {
	var held atomic.Int64
	held.Store(mostHeld)
	large := strings.Replace(small, `"s"`, `"`+strings.Repeat("s", 100<<10)+`"`, 1)
	post := func(body string) *http.Request {
		r, err := http.NewRequest("POST", "/", strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		return r
	}
	if a, err := Read(nil, post(small), &held); err != nil || a.Intent != "api" {
		t.Errorf("a small body: got %v, want its intent", err)
	}
	if _, err := Read(nil, post(large), &held); err == nil {
		t.Error("a large body beside too many others: got none, want a failure")
	}
	if n := held.Load(); n != mostHeld {
		t.Errorf("held after a refusal: got %d, want %d", n, mostHeld)
	}
	held.Store(0)
	a, err := Read(nil, post(large), &held)
	if err != nil || a.Intent != "api" || held.Load() != int64(len(large)-free) {
		t.Errorf("a large body: got %v, %d bytes held, want %d", err, held.Load(), len(large)-free)
	}
	a.Release()
	a.Release()
	if n := held.Load(); n != 0 {
		t.Errorf("held after the call: got %d, want 0", n)
	}
	a, _ = Read(nil, post(large), &held)
	if got, err := io.ReadAll(a); string(got) != large || err != nil || held.Load() != 0 {
		t.Errorf("held after the body was read: got %d, %v, want 0", held.Load(), err)
	}
}

func FuzzAlexaIntent(f *testing.F) {
	request, err := os.ReadFile("testdata/request.json")
	if err != nil {
		f.Fatal(err)
	}
	f.Add(request, uint8(3))
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
		a := &Body{from: io.NopCloser(from), held: new(atomic.Int64)}
		intent := intentIn((*filling)(a))
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
