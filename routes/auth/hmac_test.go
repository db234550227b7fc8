package auth

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/watchdogd/watchdogd/internal/testkit"
	"github.com/watchdogd/watchdogd/schema"
)

func hmacRoute(header string, change ...func(r *schema.Route)) *schema.Route {
	r := &schema.Route{Name: "hook", Auth: schema.Auth{HMAC: &schema.HMACAuth{Header: header, Secret: "It's a Secret to Everybody"}}}
	for _, c := range change {
		c(r)
	}
	return r
}

func macOf(secret, text string) string {
	h := hmac.New(sha256.New, []byte(secret))
	h.Write([]byte(text))
	return hex.EncodeToString(h.Sum(nil))
}

// post asks about a request with this body and these values of a header.
func (a *asked) post(t testing.TB, body io.Reader, header string, values ...string) answer {
	r := httptest.NewRequest("POST", "/", body)
	for _, v := range values {
		r.Header.Add(header, v)
	}
	return a.ask(t, r)
}

// The first one is the example in GitHub's documentation of webhooks.
func TestASignedBodyIsAdmittedAndPassedOnWhole(t *testing.T) {
	const secret = "It's a Secret to Everybody"
	a := newAsked(t, hmacRoute("x-hub-signature-256"))
	got := a.post(t, strings.NewReader("Hello, World!"), "X-Hub-Signature-256", "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17")
	if got.status != 200 || got.body != "Hello, World!" || got.user != "" {
		t.Errorf("GitHub's example: got %+v, want 200 with the body and no user", got)
	}
	for _, size := range []int{0, 1, 100, 32 << 10, 1 << 20, 3 << 20, MaxSigned} {
		text := strings.Repeat("0123456789 abcde", size/16+1)[:size]
		now := fmt.Sprint(time.Now().Unix())
		for _, value := range []string{
			"sha256=" + macOf(secret, text), "sha256=" + strings.ToUpper(macOf(secret, text)),
			"t=" + now + ",v1=" + macOf(secret, now+"."+text), "t=" + now + ", v0=x ,v1=" + macOf("old", text) + ",v1=" + macOf(secret, now+"."+text),
		} {
			// Of unknown length, and in small pieces, too.
			for _, body := range []io.Reader{strings.NewReader(text), iotest.HalfReader(strings.NewReader(text))} {
				if got := a.post(t, body, "X-Hub-Signature-256", value); got.status != 200 || got.body != text {
					t.Errorf("%d bytes with %.20s: got %d %s and %d bytes, want 200 and the body", size, value, got.status, got.detail, len(got.body))
				}
			}
		}
	}
	if b := &a.shared.bodies; b.used != 0 || len(b.of) != 0 {
		t.Errorf("got %d bytes in use by %v after the checks, want none", b.used, b.of)
	}
}

func TestABodyThatIsNotSignedIsRefused(t *testing.T) {
	const secret, body = "It's a Secret to Everybody", "{}"
	a := newAsked(t, hmacRoute("X-Signature"))
	good := "sha256=" + macOf(secret, body)
	stamp := func(d time.Duration) string { return fmt.Sprint(time.Now().Add(d).Unix()) }
	timed := func(at string) string { return "t=" + at + ",v1=" + macOf(secret, at+"."+body) }
	now := stamp(0)
	for name, values := range map[string][]string{
		"no header":              {},
		"an empty one":           {""},
		"another secret":         {"sha256=" + macOf("x", body)},
		"another body":           {"sha256=" + macOf(secret, "{ }")},
		"twice the same":         {good, good},
		"a good one and another": {good, "sha256=00"},
		"without a scheme":       {macOf(secret, body)},
		"SHA-1":                  {"sha1=" + macOf(secret, body)},
		"too short":              {good[:len(good)-2]},
		"too long":               {good + "00"},
		"not hexadecimal":        {"sha256=" + strings.Repeat("z", 64)},
		"a list of signatures":   {good + "," + good},
		"too old":                {timed(stamp(-tolerance - 2*time.Second))},
		"too new":                {timed(stamp(tolerance + time.Hour))},
		"another time":           {"t=" + stamp(-time.Second) + ",v1=" + macOf(secret, now+"."+body)},
		"two times":              {"t=" + now + "," + timed(now)},
		"no time":                {"v1=" + macOf(secret, body)},
		"no signature":           {"t=" + now},
		"of the body alone":      {"t=" + now + ",v1=" + macOf(secret, body)},
		"a signed time":          {timed("+" + now)},
		"a negative time":        {timed("-1")},
		"a time of words":        {timed("now")},
		"a time that overflows":  {timed("99999999999999999999")},
		"a time without an end":  {"t=" + strings.Repeat("1", 1<<20) + ",v1=" + macOf(secret, body)},
		"too many":               {"t=" + now + strings.Repeat(",v1="+macOf("x", body), 9) + ",v1=" + macOf(secret, now+"."+body)},
	} {
		got := a.post(t, strings.NewReader(body), "X-Signature", values...)
		if got.status != 401 || !strings.HasPrefix(got.challenge, `HMAC realm="hook", header="X-Signature"`) {
			t.Errorf("%s: got %+v, want 401 with a challenge", name, got)
		}
	}
	if got := a.post(t, strings.NewReader(body), "X-Signature", timed(stamp(-tolerance+testkit.Patience))); got.status != 200 {
		t.Errorf("within the tolerance: got %+v, want 200", got)
	}
}

// A signature over "SECONDS.BODY" is one of the body "SECONDS.BODY" in the other form.
func TestASignatureWithATimeIsNotOneOfAnotherBody(t *testing.T) {
	a := newAsked(t, hmacRoute("Stripe-Signature"))
	text := "1000000000.{}" // long ago
	if got := a.post(t, strings.NewReader(text), "Stripe-Signature", "sha256="+macOf("It's a Secret to Everybody", text)); got.status != 401 || !strings.Contains(got.detail, "needs a signature with a time") {
		t.Errorf("got %+v, want 401", got)
	}
}

func TestABodyThatIsTooLargeIsNotSigned(t *testing.T) {
	const secret = "It's a Secret to Everybody"
	for limit, want := range map[schema.Size]string{0: "larger than 10 MiB", 1000: "limits.body (1000 bytes)", 20 << 20: "larger than 10 MiB"} {
		a := newAsked(t, hmacRoute("X-Signature", func(r *schema.Route) { r.Limits.Body = limit }))
		size := int64(MaxSigned)
		if limit > 0 {
			size = min(size, int64(limit))
		}
		text := strings.Repeat("x", int(size)+1)
		value := "sha256=" + macOf(secret, text)
		read := &counter{from: strings.NewReader(text)}
		r := httptest.NewRequest("POST", "/", read)
		r.ContentLength = int64(len(text))
		r.Header.Set("X-Signature", value)
		if got := a.ask(t, r); got.status != 413 || !strings.Contains(got.detail, want) || read.n != 0 {
			t.Errorf("limit %d, known length: got %+v and %d bytes read, want 413 and none", limit, got, read.n)
		}
		if got := a.post(t, iotest.OneByteReader(strings.NewReader("x")), "X-Signature", "sha256="+macOf(secret, "x")); got.status != 200 {
			t.Errorf("limit %d: got %+v for a small body, want 200", limit, got)
		}
		if got := a.post(t, io.MultiReader(strings.NewReader(text)), "X-Signature", value); got.status != 413 || !strings.Contains(got.detail, want) {
			t.Errorf("limit %d, unknown length: got %+v, want 413", limit, got)
		}
	}
}

type counter struct {
	from io.Reader
	n    int
}

func (c *counter) Read(p []byte) (int, error) {
	n, err := c.from.Read(p)
	c.n += n
	return n, err
}

func TestBodiesThatAreNotCheckedYetShareABudget(t *testing.T) {
	a := newAsked(t, hmacRoute("X-Signature"))
	b := &a.shared.bodies
	b.used = mostBodies - 1000
	text := strings.Repeat("x", 2000)
	value := "sha256=" + macOf("It's a Secret to Everybody", text)
	if got := a.post(t, strings.NewReader(text), "X-Signature", value); got.status != 503 {
		t.Errorf("got %+v, want 503", got)
	}
	if b.used != mostBodies-1000 || len(b.of) != 0 {
		t.Errorf("got %d bytes in use afterwards, also by %v, want %d", b.used, b.of, mostBodies-1000)
	}
	b.used = 0
	if got := a.post(t, strings.NewReader(text), "X-Signature", value); got.status != 200 {
		t.Errorf("got %+v, want 200", got)
	}
}

func TestOneClientAndOneRouteLeaveRoomForOthers(t *testing.T) {
	var b budget
	one, two, three := sharer{client: "192.0.2.1"}, sharer{client: "192.0.2.2"}, sharer{client: "192.0.2.3"}
	hooks, other := sharer{route: "hooks"}, sharer{route: "other"}
	for _, c := range []struct {
		what          string
		route, client sharer
		n             int64
		want          bool
	}{
		{"a client's share", hooks, one, mostOfClient, true},
		{"more of this client", other, one, 1, false},
		{"it goes", other, one, -1, true},
		{"another client's share", hooks, two, mostOfClient, true},
		{"more of this route", hooks, three, 1, false},
		{"it goes", hooks, three, -1, true},
		{"another route", other, three, mostOfClient, true},
		{"the first has gone", hooks, one, -mostOfClient, true},
		{"the route has room", hooks, one, MaxSigned, true},
		{"all of them", other, sharer{client: "192.0.2.4"}, mostBodies - 2*mostOfClient - MaxSigned, false},
	} {
		if got := b.take(c.route, c.client, c.n); got != c.want {
			t.Errorf("%s: got %v, want %v, with %v", c.what, got, c.want, b.of)
		}
	}
}

func TestTheClientIsWhomTheProxyBeforeUsNames(t *testing.T) {
	for list, want := range map[string]string{
		"192.0.2.1":                           "192.0.2.1",
		"192.0.2.1, 10.0.0.1":                 "192.0.2.1",
		"198.51.100.7, 192.0.2.1, 10.0.0.1":   "192.0.2.1",
		"2001:db8:1:2:3:4:5:6":                "2001:db8:1:2::/64",
		"2001:db8:1:2:ffff::1,10.0.0.1":       "2001:db8:1:2::/64",
		"::ffff:192.0.2.1":                    "::ffff:192.0.2.1",
		"a name that no address is, 10.0.0.1": "a name that no address is",
		"":                                    "",
	} {
		r := httptest.NewRequest("POST", "/", nil)
		r.Header.Set("X-Forwarded-For", list)
		if got := clientOf(r); got != want {
			t.Errorf("%q: got %q, want %q", list, got, want)
		}
	}
}

// A client that sends no end keeps what it sent until its time is over: another one is served.
func TestASlowClientOfSignedBodiesKeepsNoOtherWaiting(t *testing.T) {
	a := newAsked(t, hmacRoute("X-Signature"))
	slow := sharer{client: "192.0.2.66"}
	a.shared.bodies.take(sharer{route: "elsewhere"}, slow, mostOfClient)
	text := strings.Repeat("x", MaxSigned)
	for _, c := range []struct {
		client string
		status int
	}{{"192.0.2.66", 503}, {"192.0.2.1", 200}} {
		r := httptest.NewRequest("POST", "/", strings.NewReader(text))
		r.Header.Set("X-Signature", "sha256="+macOf("It's a Secret to Everybody", text))
		r.Header.Set("X-Forwarded-For", c.client)
		if got := a.ask(t, r); got.status != c.status {
			t.Errorf("%s: got %d %s, want %d", c.client, got.status, got.detail, c.status)
		}
	}
}

func TestAMalformedFileOfASecretIsAMistake(t *testing.T) {
	for text, want := range map[string]string{
		"":                           ":1:1: the file is empty",
		"\n":                         ":1:1: the file is empty",
		"  \n":                       ":1:1: the file is empty",
		"hush\nhush\n":               ":2:1: the file has more than one line",
		strings.Repeat("hush", 2000): ":1:1: the secret is longer",
	} {
		wantMistakes(t, schema.Auth{HMAC: &schema.HMACAuth{Header: "X-S", SecretFile: file(t, text)}}, want, "hush")
	}
	for _, text := range []string{"the secret", "the secret\n", "the secret\r\n"} {
		a := newAsked(t, hmacRoute("X-S", func(r *schema.Route) {
			r.Auth.HMAC.Secret, r.Auth.HMAC.SecretFile = "", file(t, text)
		}))
		if got := a.post(t, strings.NewReader("x"), "X-S", "sha256="+macOf("the secret", "x")); got.status != 200 {
			t.Errorf("%q: got %+v, want 200", text, got)
		}
	}
}

func FuzzSignature(f *testing.F) {
	for _, seed := range []string{"sha256=" + strings.Repeat("0a", 32), "t=1,v1=" + strings.Repeat("0a", 32), "t=,v1=", "t=1,t=2", ",,", "v1=x,t=1", "t=+1"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, value string) {
		s, ok := parseSignature(value)
		if !ok {
			return
		}
		if len(s.macs) == 0 || len(s.macs) > maxMACs || s.timed != (s.time != "") || len(s.time) > maxTime {
			t.Errorf("%q: got %+v, which is no signature", value, s)
		}
		for _, mac := range s.macs {
			if len(mac) != sha256.Size || !bytes.Contains(bytes.ToLower([]byte(value)), []byte(hex.EncodeToString(mac))) {
				t.Errorf("%q: got the signature %x, which is not in it", value, mac)
			}
		}
	})
}

func BenchmarkHMAC(b *testing.B) {
	const secret = "It's a Secret to Everybody"
	text := strings.Repeat("x", 10<<10)
	a := newAsked(b, hmacRoute("X-Signature"))
	value := "sha256=" + macOf(secret, text)
	b.ReportAllocs()
	for b.Loop() {
		if got := a.post(b, strings.NewReader(text), "X-Signature", value); got.status != http.StatusOK {
			b.Fatalf("got %+v, want 200", got)
		}
	}
}
