package auth

import (
	"crypto/sha256"
	"fmt"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/watchdogd/watchdogd/schema"
)

func keysRoute(file string, more map[string]schema.Secret) *schema.Route {
	return &schema.Route{Name: "api", Auth: schema.Auth{Keys: &schema.KeysAuth{File: file, Keys: more}}}
}

func TestANamedKeyIsAdmitted(t *testing.T) {
	digest := fmt.Sprintf("%x", sha256.Sum256([]byte("hashed-key")))
	text := "\ufeff# keys\r\n\r\nci:plain-key\r\n ann : sha256:" + strings.ToUpper(digest) + "\nci:other-key-of-ci\nlast:with:colon"
	a := newAsked(t, keysRoute(file(t, text), map[string]schema.Secret{"env": "from-a-variable"}))
	for key, want := range map[string]string{"plain-key": "ci", "other-key-of-ci": "ci", "hashed-key": "ann", "with:colon": "last", "from-a-variable": "env"} {
		for _, authorization := range []string{"Bearer " + key, "bearer " + key, "BEARER  " + key + " "} {
			got := a.call(t, authorization)
			if got.status != 200 || got.user != want || got.header.Get("X-Auth-User") != want || got.header.Get("Authorization") != "" {
				t.Errorf("%q: got %+v, want the user %s and no key", authorization, got, want)
			}
		}
		r := httptest.NewRequest("GET", "/", nil)
		r.Header.Set("X-API-Key", key)
		r.Header.Set("Authorization", "Bearer for-the-program")
		if got := a.ask(t, r); got.status != 200 || got.user != want || got.header.Get("X-Api-Key") != "" || got.header.Get("Authorization") == "" {
			t.Errorf("X-API-Key %s: got %+v, want the user %s, and only the other header kept", key, got, want)
		}
	}
}

func TestAnotherKeyIsRefused(t *testing.T) {
	digest := fmt.Sprintf("%x", sha256.Sum256([]byte("hashed-key")))
	a := newAsked(t, keysRoute(file(t, "ci:plain-key\nann:sha256:"+digest+"\n"), nil))
	for _, authorization := range []string{
		"", "plain-key", "Bearer", "Bearer ", "Bearer ci", "Bearer ci:plain-key", "Bearer PLAIN-KEY", "Bearer plain-ke", "Bearer plain-keyy", "Basic plain-key",
		"Bearer sha256:" + digest, "Bearer " + digest, "Bearer " + strings.Repeat("x", 1<<20),
	} {
		got := a.call(t, authorization)
		if got.status != 401 || !strings.HasPrefix(got.challenge, `Bearer realm="api"`) {
			t.Errorf("%.30q: got %+v, want 401 with a challenge", authorization, got)
		}
	}
	for name, values := range map[string][]string{"Authorization": {"Bearer plain-key", "Bearer x"}, "X-API-Key": {"plain-key", "plain-key"}} {
		r := httptest.NewRequest("GET", "/", nil)
		for _, v := range values {
			r.Header.Add(name, v)
		}
		if got := a.ask(t, r); got.status != 401 || !strings.Contains(got.detail, "more than one") {
			t.Errorf("%s twice: got %+v, want 401", name, got)
		}
	}
}

func TestAMalformedFileOfKeysIsAMistakeWithItsLine(t *testing.T) {
	for text, want := range map[string]string{
		"":                                    ":1:1: the file has no keys",
		"# nothing\n\n":                       ":1:1: the file has no keys",
		"a:hush-1\nhush-2\n":                  ":2:1: the line has no colon",
		"a:hush-1\n\n# x\n:hush-2":            ":4:1: the name before the colon",
		"a b:hush-1":                          ":1:1: the name before the colon",
		"a:":                                  ":1:1: the key is empty",
		"a: \n":                               ":1:1: the key is empty",
		"a:hush 1":                            ":1:1: the key contains a space",
		"a:hush\xc3\xa9":                      ":1:1: the key contains a space",
		"a:sha256:hush":                       ":1:1: sha256: must be followed by 64",
		"a:sha256:" + strings.Repeat("0", 66): ":1:1: sha256: must be followed by 64",
		"a:hush-1\nb:hush-1":                  ":2:1: another line has the same key",
		"a:" + strings.Repeat("hush", 2000):   ":1:1: the line is longer than",
		"a:" + strings.Repeat("hush", 300):    ":1:1: the key is longer than",
		"a:hush\x00":                          ":1:1: the line contains a NUL",
	} {
		wantMistakes(t, schema.Auth{Keys: &schema.KeysAuth{File: file(t, text)}}, want, "hush")
	}
	wantMistakes(t, schema.Auth{Keys: &schema.KeysAuth{File: t.TempDir() + "/none"}}, "none: cannot read the file of keys: no such file")
	wantMistakes(t, schema.Auth{Keys: &schema.KeysAuth{File: t.TempDir()}}, "it is a directory")
	wantMistakes(t, schema.Auth{Keys: &schema.KeysAuth{Keys: map[string]schema.Secret{"a": "hush 1"}}}, "route f: auth.keys.keys.a: the key contains a space", "hush")
	_, err := New(keysRoute(file(t, strings.Repeat("x\n", 1000)), nil), NewShared(nil))
	if got := strings.Count(err.Error(), "no colon"); got != maxMistakes {
		t.Errorf("got %d mistakes of a file of another kind, want %d", got, maxMistakes)
	}
}

func FuzzKeyFile(f *testing.F) {
	for _, seed := range []string{"a:b", "a:sha256:00", "# x\n\na:b\r\nc:d", ":", "a:b\na:b", "\ufeffa:b"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		name := file(t, text)
		k, err := newKeys("f", &schema.KeysAuth{File: name})
		if err == nil && len(k.byHash) == 0 {
			t.Error("got no mistake in a file without a key")
		}
		if err != nil && len(text) > 20 && strings.Contains(err.Error(), text) {
			t.Error("got the file in the mistake")
		}
	})
}

func BenchmarkKeys(b *testing.B) {
	var text strings.Builder
	for n := range 1000 {
		fmt.Fprintf(&text, "user%d:key-number-%d-of-a-thousand\n", n, n)
	}
	benchmark(b, newAsked(b, keysRoute(file(b, text.String()), nil)), "Bearer key-number-500-of-a-thousand")
}

// benchmark measures a check of a request with this value of Authorization.
func benchmark(b *testing.B, a *asked, authorization string) {
	r := httptest.NewRequest("GET", "/", nil)
	values := []string{authorization}
	r.Header["Authorization"] = values
	if got := a.call(b, authorization); got.status != 200 {
		b.Fatalf("got %+v, want 200", got)
	}
	b.ReportAllocs()
	for b.Loop() {
		r.Header["Authorization"] = values // an accepted key is removed
		if _, _, err := a.check.kind.check(nil, r); err != nil {
			b.Fatal(err)
		}
	}
}
