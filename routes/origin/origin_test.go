package origin

import (
	"net/http"
	"net/netip"
	"reflect"
	"strings"
	"testing"

	"github.com/watchdogd/watchdogd/internal/http1"
	"github.com/watchdogd/watchdogd/internal/trace"
)

func TestWhatIsSaidOfTheWayOfARequest(t *testing.T) {
	const client, proxy = "192.0.2.7:4711", "10.1.2.3:80"
	trusted := []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("fd00::/8"), netip.MustParsePrefix("127.0.0.1/32")}
	lies := http.Header{
		"X-Forwarded-For": {"1.1.1.1"}, "X-Forwarded-Proto": {"https"}, "X-Forwarded-Host": {"evil"},
		"X-Forwarded-Prefix": {"/evil"}, "X-Forwarded-Port": {"1"}, "X_forwarded_for": {"1.1.1.1"}, "X-Forwarded_host": {"evil"},
		"Forwarded": {"for=1.1.1.1"}, "X-Forward": {"kept"}, "From": {"kept"},
	}
	truth := func(peer string) http.Header {
		return http.Header{"X-Forwarded-For": {peer}, "X-Forwarded-Proto": {"http"}, "X-Forwarded-Host": {"h:80"}}
	}
	with := func(h http.Header, more ...string) http.Header {
		h = h.Clone()
		for i := 0; i < len(more); i += 2 {
			h[more[i]] = []string{more[i+1]}
		}
		return h
	}
	for _, c := range []struct {
		name, peer string
		strip      bool
		in, want   http.Header
	}{
		{"a plain request", client, false, http.Header{}, truth("192.0.2.7")},
		{"the prefix that is stripped", client, true, http.Header{}, with(truth("192.0.2.7"), "X-Forwarded-Prefix", "/a")},
		{"who is not trusted is not believed", client, false, lies, with(truth("192.0.2.7"), "X-Forward", "kept", "From", "kept")},
		{"nor his prefix", client, true, lies, with(truth("192.0.2.7"), "X-Forward", "kept", "From", "kept", "X-Forwarded-Prefix", "/a")},
		{"who is trusted is believed and appended", proxy, false,
			http.Header{"X-Forwarded-For": {"1.1.1.1", "2.2.2.2"}, "X-Forwarded-Proto": {"https"}, "X-Forwarded-Host": {"shop"}, "X-Forwarded-Port": {"443"}, "Forwarded": {"for=1.1.1.1"}},
			http.Header{"X-Forwarded-For": {"1.1.1.1, 2.2.2.2, 10.1.2.3"}, "X-Forwarded-Proto": {"https"}, "X-Forwarded-Host": {"shop"}, "X-Forwarded-Port": {"443"}, "Forwarded": {"for=1.1.1.1"}}},
		{"and what he does not say is said", proxy, false, http.Header{"X-Forwarded-Proto": {"https"}}, with(truth("10.1.2.3"), "X-Forwarded-Proto", "https")},
		{"not what has underscores", proxy, false,
			http.Header{"X_forwarded_for": {"1.1.1.1"}, "X-Forwarded_proto": {"https"}, "X_request_id": {"evil"}, "X_call-Id": {"evil"}, "X_auth_user": {"evil"}, "X_mine": {"kept"}},
			with(truth("10.1.2.3"), "X_mine", "kept")},
		{"nor of anybody", client, false, http.Header{"X_request_id": {"evil"}, "X_auth_user": {"evil"}, "X-Auth-Token": {"kept"}}, with(truth("192.0.2.7"), "X-Auth-Token", "kept")},
		{"a prefix that is a host is none", proxy, true, http.Header{"X-Forwarded-Prefix": {"//evil.example"}}, with(truth("10.1.2.3"), "X-Forwarded-Prefix", "/a")},
		{"a prefix that is a URL is none", proxy, false, http.Header{"X-Forwarded-Prefix": {"https://evil.example"}}, truth("10.1.2.3")},
		{"a prefix that is a script is none", proxy, false, http.Header{"X-Forwarded-Prefix": {"/\"><script>"}}, truth("10.1.2.3")},
		{"a prefix that climbs is none", proxy, false, http.Header{"X-Forwarded-Prefix": {"/a/../.."}}, truth("10.1.2.3")},
		{"a prefix with a backslash is none", proxy, false, http.Header{"X-Forwarded-Prefix": {`/\evil.example`}}, truth("10.1.2.3")},
		{"of several prefixes the first", proxy, false, http.Header{"X-Forwarded-Prefix": {"/a%20b", "/c"}}, with(truth("10.1.2.3"), "X-Forwarded-Prefix", "/a%20b")},
		{"prefixes add up", proxy, true, http.Header{"X-Forwarded-Prefix": {"/outer/"}}, with(truth("10.1.2.3"), "X-Forwarded-Prefix", "/outer/a")},
		{"IPv6", "[fd00::1]:80", false, http.Header{"X-Forwarded-Host": {"shop"}}, with(truth("fd00::1"), "X-Forwarded-Host", "shop")},
		{"IPv4 in IPv6", "[::ffff:10.0.0.1]:80", false, http.Header{"X-Forwarded-Host": {"shop"}}, with(truth("::ffff:10.0.0.1"), "X-Forwarded-Host", "shop")},
		{"a unix socket is 127.0.0.1", "@", false, http.Header{"X-Forwarded-Host": {"shop"}}, with(truth("127.0.0.1"), "X-Forwarded-Host", "shop")},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := &http.Request{Header: c.in.Clone(), Host: "h:80", RemoteAddr: c.peer}
			f := fieldsOf(r.Header)
			Forward(r, f, map[bool]string{true: "/a"}[c.strip], trusted)
			got := http.Header{}
			if f.Into(got, nil); !reflect.DeepEqual(got, c.want) {
				t.Errorf("got  %v\nwant %v", got, c.want)
			}
		})
	}
}

func TestTheIdOfACall(t *testing.T) {
	long := strings.Repeat("x", longestID)
	for _, c := range []struct {
		in   http.Header
		want string // "" is a new one
	}{
		{http.Header{}, ""},
		{http.Header{"X-Request-Id": {"abc-1"}}, "abc-1"},
		{http.Header{"X-Call-Id": {"call"}}, "call"},
		{http.Header{"X-Request-Id": {"abc"}, "X-Call-Id": {"call"}}, "abc"},
		{http.Header{"X-Request-Id": {"one", "two"}}, "one"},
		{http.Header{"X-Request-Id": {"a b"}}, ""},
		{http.Header{"X-Request-Id": {"a\"b"}, "X-Call-Id": {"call"}}, "call"},
		{http.Header{"X-Request-Id": {"a<b"}, "X-Call-Id": {"c\\d"}}, ""},
		{http.Header{"X-Request-Id": {"é"}}, ""},
		{http.Header{"X-Request-Id": {""}}, ""},
		{http.Header{"X-Request-Id": {long}}, long},
		{http.Header{"X-Request-Id": {long + "9"}}, ""},
	} {
		f, h := fieldsOf(c.in), http.Header{}
		id, made := Identify(f, new(http1.Text))
		f.Into(h, nil)
		if c.want != "" && id != c.want || c.want == "" && len(id) != 32 {
			t.Errorf("%v: got %q, want %q", c.in, id, c.want)
		}
		if want := c.want == ""; made != want || made && !trace.ValidTrace(id) {
			t.Errorf("%v: got %q, made %v; want a trace's id, made %v", c.in, id, made, want)
		}
		if got := h["X-Request-Id"]; len(got) != 1 || got[0] != id {
			t.Errorf("%v: got X-Request-Id %q, want %q", c.in, got, id)
		}
		for _, value := range h["X-Call-Id"] {
			if !sound(value) {
				t.Errorf("%v: got X-Call-Id %q, want a sound one", c.in, value)
			}
		}
	}
	if a, b := newID(new(http1.Text)), newID(new(http1.Text)); a == b {
		t.Errorf("two calls: got the id %s twice, want two", a)
	}
}

func TestClientsOnThisMachineAreRecognized(t *testing.T) {
	trusted := []netip.Prefix{netip.MustParsePrefix("127.0.0.1/32")}
	for _, c := range []struct {
		peer, host, header string
		proto              int // of 1.x
		want               bool
	}{
		{"127.0.0.1:4711", "localhost:8080", "", 1, true},
		{"127.0.0.1:4711", "127.0.0.1:8080", "", 1, true},
		{"127.0.0.1:4711", "api.localhost", "", 1, true},
		{"[::1]:4711", "[::1]:8080", "", 1, true},
		{"[::1]:4711", "[::1]", "", 1, true},
		{"[::ffff:127.0.0.1]:4711", "LOCALHOST.", "", 1, true},
		{"@", "localhost", "", 1, true},
		{"192.0.2.7:4711", "localhost", "", 1, false},
		{"192.0.2.7:4711", "127.0.0.1", "", 1, false},
		{"127.0.0.1:4711", "shop.example.org", "", 1, false},
		{"127.0.0.1:4711", "localhost.example.org", "", 1, false},
		{"127.0.0.1:4711", "192.0.2.7", "", 1, false},
		{"127.0.0.1:4711", "", "", 1, false},
		{"127.0.0.1:4711", "localhost", "", 0, false},
		{"127.0.0.1:4711", "localhost", "X-Forwarded-For", 1, false},
		{"127.0.0.1:4711", "localhost", "X-Forwarded-Proto", 1, false},
		{"127.0.0.1:4711", "localhost", "Forwarded", 1, false},
		{"127.0.0.1:4711", "localhost", "Via", 1, false},
		{"@", "localhost", "X-Forwarded-For", 1, false},
	} {
		for _, trusted := range [][]netip.Prefix{nil, trusted} {
			if c.header == "X-Forwarded-Proto" && trusted != nil {
				continue // of a trusted peer it says nothing of another client
			}
			r := &http.Request{Header: http.Header{}, Host: c.host, RemoteAddr: c.peer, ProtoMajor: 1, ProtoMinor: c.proto}
			if c.header != "" {
				r.Header.Set(c.header, "x")
			}
			f := fieldsOf(r.Header)
			if got := OnThisMachine(r, f, Forward(r, f, "", trusted)); got != c.want {
				t.Errorf("%+v, trusted %v: got %v, want %v", c, trusted, got, c.want)
			}
		}
	}
}

// Behind a proxy that is trusted, the host is the one that the browser knows.
func TestTheOriginIsComparedWithTheHostFromATrustedProxy(t *testing.T) {
	r := &http.Request{Method: "POST", Host: "backend:8080", RemoteAddr: "10.0.0.1:1", Header: http.Header{
		"Origin": {"https://shop.example"}, "X-Forwarded-Host": {"shop.example"}}}
	for trusted, want := range map[string]bool{"10.0.0.0/8": true, "192.0.2.0/24": false} {
		asked := r.Clone(t.Context())
		f := fieldsOf(asked.Header)
		Forward(asked, f, "", []netip.Prefix{netip.MustParsePrefix(trusted)})
		if got := !CrossSite(asked, f); got != want {
			t.Errorf("where %s is trusted: got served: %v, want %v", trusted, got, want)
		}
	}
}

// fieldsOf returns the fields of a header.
func fieldsOf(h http.Header) *http1.Fields {
	f := new(http1.Fields)
	f.From(h)
	return f
}
