package address

import (
	"strings"
	"testing"
)

func TestWhatCanBeListenedOn(t *testing.T) {
	for address, want := range map[string]string{
		":8080": "", "127.0.0.1:0": "", "[::1]:80": "", "localhost:65535": "", "my_service.internal:1": "", "unix:/run/a.sock": "", "[fe80::1%eth0]:80": "",
		"8080":                              `must be host:port, :port or unix:/path, not "8080"`,
		"":                                  `must be host:port, :port or unix:/path, not ""`,
		"::1:80":                            `must be host:port, :port or unix:/path, not "::1:80"`,
		":65536":                            `"65536" is not a valid port: write a number from 0 to 65535`,
		":-1":                               `"-1" is not a valid port: write a number from 0 to 65535`,
		":http":                             `"http" is not a valid port: write a number from 0 to 65535`,
		":":                                 `"" is not a valid port: write a number from 0 to 65535`,
		"a b:80":                            `"a b" is not a valid host`,
		"a..b:80":                           `"a..b" is not a valid host`,
		".a:80":                             `".a" is not a valid host`,
		strings.Repeat("a", 254) + ":80":    "is not a valid host",
		"unix:":                             "the path of the socket is missing: write unix:/path",
		"unix:/" + strings.Repeat("a", 107): "the path of the socket is 108 bytes long; the limit is 107",
	} {
		err := Check(address)
		if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("%.40q: got %v, want %q", address, err, want)
		}
	}
}

func TestAddressesThatCannotBothBeListenedOn(t *testing.T) {
	for _, c := range []struct {
		a, b string
		want bool
	}{
		{":80", ":80", true}, {":80", "127.0.0.1:80", true}, {"0.0.0.0:80", "10.0.0.1:80", true}, {"[::]:80", ":80", true},
		{"127.0.0.1:80", "127.0.0.1:80", true}, {"127.0.0.1:80", "127.0.0.2:80", false}, {":80", ":81", false}, {":0", ":0", false},
		{"unix:/a", "unix:/a", true}, {"unix:/a", "unix:/b", false}, {"unix:/a", ":80", false}, {"wrong", ":80", false},
	} {
		if got, back := Clash(c.a, c.b), Clash(c.b, c.a); got != c.want || back != c.want {
			t.Errorf("%s and %s: got %v, the other way %v, want %v", c.a, c.b, got, back, c.want)
		}
	}
}

func TestAddressesThatOnlyThisHostReaches(t *testing.T) {
	for address, want := range map[string]bool{
		"127.0.0.1:80": true, "127.9.9.9:80": true, "[::1]:80": true, "[::ffff:127.0.0.1]:80": true, "LocalHost:80": true, "unix:/a": true,
		":80": false, "0.0.0.0:80": false, "[::]:80": false, "10.0.0.1:80": false, "localhost.example:80": false, "wrong": false,
	} {
		if got := Loopback(address); got != want {
			t.Errorf("%s: got %v, want %v", address, got, want)
		}
	}
}

func TestThePathsOfRoutesAndUpstreams(t *testing.T) {
	for _, c := range []struct {
		path   string
		prefix bool
		want   string
	}{
		{"/", true, ""}, {"/a/b/", true, ""}, {"/a%2Fb", true, ""}, {"/~a;b=c,d:e@f!$&'()+", true, ""}, {"/_x", true, ""}, {"/a*", false, ""}, {"/_/x", false, ""},
		{"a", true, `must start with /, for example "/a"`},
		{"", true, `must start with /, for example "/"`},
		{"/_/health", true, "paths under /_/ are reserved for watchdogd, such as /_/health"},
		{"/_", true, "paths under /_/ are reserved"},
		{"/a*", true, "a path cannot contain *; it already matches everything below it"},
		{"/a?b", true, "a path cannot contain ?"},
		{"/a#b", false, "a path cannot contain #"},
		{"/a%2", true, "% must be followed by two hexadecimal digits"},
		{"/a%zz", true, "% must be followed by two hexadecimal digits"},
		{"/ü b", true, `write "/%C3%BC%20b"`},
		{"/a//b", true, `"/a//b" contains an empty segment`},
		{"//", true, `contains an empty segment`},
		{"/a/./b", true, "contains the segment ."},
		{"/../b", false, "contains the segment .."},
	} {
		err := CheckPath(c.path, c.prefix)
		if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
			t.Errorf("%q, of a route %v: got %v, want %q", c.path, c.prefix, err, c.want)
		}
	}
}
