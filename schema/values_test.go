package schema

import (
	"math"
	"strings"
	"testing"
	"time"
)

func TestDurations(t *testing.T) {
	for text, want := range map[string]time.Duration{
		"0": 0, "10": 10 * time.Second, "250ms": 250 * time.Millisecond, "10s": 10 * time.Second, "1m30s": 90 * time.Second, "1.5s": 1500 * time.Millisecond,
		"9223372036": 9223372036 * time.Second, "2562047h": 2562047 * time.Hour, "0s": 0, "5us": 5 * time.Microsecond,
	} {
		if got, err := parseDuration(text); err != nil || got.D() != want {
			t.Errorf("%q is %s, %v", text, got, err)
		}
	}
	for _, text := range []string{"", " ", "abc", "-1", "-1s", "1.5", "1d", "10 s", "+5", "0x10", "1_000", "9223372037", "1e3", "s", "NaN", "1s-2s", "²s"} {
		if got, err := parseDuration(text); err == nil {
			t.Errorf("%q is taken as %s", text, got)
		}
	}
	for d, want := range map[time.Duration]string{0: "0", time.Minute: "1m", time.Hour: "1h", 90 * time.Minute: "1h30m", time.Hour + time.Second: "1h0m1s", 24 * time.Hour: "24h", 1500 * time.Millisecond: "1.5s", 10 * time.Minute: "10m"} {
		if got := Duration(d).String(); got != want {
			t.Errorf("%s is written %s", d, got)
		}
	}
}

func TestSizes(t *testing.T) {
	for text, want := range map[string]Size{
		"0": 0, "1": 1, "64KiB": 65536, "64kib": 65536, "10MB": 10_000_000, "1GiB": 1 << 30, "2TB": 2e12, "5B": 5, "1.5MiB": 3 << 19, "0.5KB": 500,
		"10 MB": 10_000_000, "9223372036854775807": math.MaxInt64, "8388607TiB": 8388607 << 40,
	} {
		if got, err := parseSize(text); err != nil || got != want {
			t.Errorf("%q is %d, %v", text, got, err)
		}
	}
	for _, text := range []string{"", "abc", "-1", "-1MB", "10M", "10k", "1.5", "1.5.5MB", "MB", "1e3", "0x10", "9223372036854775808", "8388608TiB", "99999999999999999999GB", "1,5MB", "10MBB"} {
		if got, err := parseSize(text); err == nil {
			t.Errorf("%q is taken as %d", text, got)
		}
	}
	for size, want := range map[Size]string{0: "0", 1: "1", 1000: "1000", 1024: "1KiB", 1 << 20: "1MiB", 3 << 29: "1536MiB", 10_000_000: "10000000", math.MaxInt64: "9223372036854775807"} {
		if got := size.String(); got != want {
			t.Errorf("%d is written %s", size, got)
		}
	}
}

func TestRates(t *testing.T) {
	for text, want := range map[string]Rate{
		"": {}, "100/s": {100, 100}, "100/s burst 50": {100, 50}, "60/m": {1, 1}, "90/m burst 3": {1.5, 3}, "1/h": {1. / 3600, 1}, "0.5/s": {0.5, 1}, "2.5/s": {2.5, 3}, "  5/s   burst  7 ": {5, 7},
	} {
		got, err := parseRate(text)
		if err != nil || got != want {
			t.Errorf("%q is %+v, %v", text, got, err)
		}
		if again, err := parseRate(got.String()); err != nil || again != got {
			t.Errorf("%q is written %q, which is %+v, %v", text, got, again, err)
		}
	}
	for _, text := range []string{" ", "100", "/s", "100/d", "100 /s", "0/s", "-1/s", "NaN/s", "Inf/s", "1e400/s", "0x10/s", "100/s burst", "100/s burst 0", "100/s burst x", "100/s brust 5", "100/s burst 5 6", "1/s/s"} {
		if got, err := parseRate(text); err == nil {
			t.Errorf("%q is taken as %+v", text, got)
		}
	}
}

func TestUmasksAndSignals(t *testing.T) {
	for text, want := range map[string]Umask{"": {}, "0": {true, 0}, "022": {true, 0o22}, "22": {true, 0o22}, "0o777": {true, 0o777}, "0777": {true, 0o777}} {
		if got, err := parseUmask(text); err != nil || got != want {
			t.Errorf("%q is %+v, %v", text, got, err)
		}
	}
	for _, text := range []string{"8", "1000", "-1", "x", "0x12", "u=rwx"} {
		if got, err := parseUmask(text); err == nil {
			t.Errorf("%q is taken as %+v", text, got)
		}
	}
	for text, want := range map[string]Signal{"TERM": "TERM", "SIGTERM": "TERM", "sigusr1": "USR1", "kill": "KILL"} {
		if got, err := parseSignal(text); err != nil || got != want {
			t.Errorf("%q is %q, %v", text, got, err)
		}
	}
	for _, text := range []string{"", "9", "SIG", "STOP", "TERMINATE"} {
		if got, err := parseSignal(text); err == nil {
			t.Errorf("%q is taken as %q", text, got)
		}
	}
}

func TestNetworks(t *testing.T) {
	for text, want := range map[string]string{"10.0.0.0/8": "10.0.0.0/8", "127.0.0.1": "127.0.0.1/32", "::1": "::1/128", "fd00::/8": "fd00::/8", "0.0.0.0/0": "0.0.0.0/0"} {
		if got, err := parsePrefix(text); err != nil || got.String() != want {
			t.Errorf("%q is %s, %v", text, got, err)
		}
	}
	for _, text := range []string{"", "x", "10.0.0.1/8", "10.0.0.0/33", "fe80::1%eth0", "10.0.0"} {
		if got, err := parsePrefix(text); err == nil {
			t.Errorf("%q is taken as %s", text, got)
		}
	}
}

func TestUpstreams(t *testing.T) {
	for text, want := range map[string]Endpoint{
		"127.0.0.1:3000":               {Network: "tcp", Address: "127.0.0.1:3000", Host: "127.0.0.1:3000"},
		"localhost:3000":               {Network: "tcp", Address: "localhost:3000", Host: "localhost:3000"},
		":3000":                        {Network: "tcp", Address: "127.0.0.1:3000", Host: "127.0.0.1:3000"},
		"http://127.0.0.1:3000":        {Network: "tcp", Address: "127.0.0.1:3000", Host: "127.0.0.1:3000"},
		"http://127.0.0.1:3000/":       {Network: "tcp", Address: "127.0.0.1:3000", Host: "127.0.0.1:3000"},
		"HTTP://host:80/base/":         {Network: "tcp", Address: "host:80", Host: "host:80", BasePath: "/base"},
		"host:80/a/b":                  {Network: "tcp", Address: "host:80", Host: "host:80", BasePath: "/a/b"},
		"http://host":                  {Network: "tcp", Address: "host:80", Host: "host"},
		"http://host/x%20y":            {Network: "tcp", Address: "host:80", Host: "host", BasePath: "/x%20y"},
		"http://[::1]:3000":            {Network: "tcp", Address: "[::1]:3000", Host: "[::1]:3000"},
		"http://[::1]":                 {Network: "tcp", Address: "[::1]:80", Host: "[::1]"},
		"h2c://10.0.0.1:9000":          {Network: "tcp", Address: "10.0.0.1:9000", Host: "10.0.0.1:9000", H2C: true},
		"unix:/run/app.sock":           {Network: "unix", Address: "/run/app.sock", Host: "localhost"},
		"unix:///run/app.sock":         {Network: "unix", Address: "/run/app.sock", Host: "localhost"},
		"http://my_service.local:8080": {Network: "tcp", Address: "my_service.local:8080", Host: "my_service.local:8080"},
	} {
		u, err := ParseUpstream(Text(text))
		if got := u.At(Vars{}); err != nil || got != want {
			t.Errorf("%q: got %+v, %v, want %+v", text, got, err, want)
		}
	}
	for text, want := range map[string]string{
		"":                                  "the host is missing",
		"https://host":                      "https is not supported",
		"ftp://host:1":                      `unknown scheme "ftp"`,
		"http://":                           "the host is missing",
		"host":                              "the port is missing",
		"host:":                             "is not a valid port",
		"host:0":                            "is not a valid port",
		"host:65536":                        "is not a valid port",
		"host:http":                         "is not a valid port",
		"a b:80":                            "is not a valid host",
		"http://host:80?x":                  "a query or fragment is not allowed",
		"http://host:80/#x":                 "a query or fragment is not allowed",
		"http://u@host:80":                  "a user name is not allowed",
		"unix:":                             "the path of the socket is missing",
		"unix:/" + strings.Repeat("x", 200): "the limit is 107",
		"http://a:80/../b":                  "contains the segment ..",
		"[::1:80":                           "the port is missing",
		"http://[::1":                       "is not a valid host",
	} {
		if got, err := ParseUpstream(Text(text)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: got %+v, %v, want an error that says %q", text, got, err, want)
		}
	}
}

func TestAnUpstreamKnowsWhereItsPortComesFrom(t *testing.T) {
	one, two := Vars{Port: 10001, Number: 1, Name: "api"}, Vars{Port: 10002, Number: 2, Name: "api"}
	for text, want := range map[string]struct {
		from     PortFrom
		varies   bool
		one, two string
	}{
		"127.0.0.1:3000":             {PortFixed, false, "127.0.0.1:3000", "127.0.0.1:3000"},
		"http://host":                {PortFixed, false, "host:80", "host:80"},
		"http://host/${INSTANCE}":    {PortFixed, true, "host:80", "host:80"},
		"http://127.0.0.1:${PORT}":   {PortChosen, true, "127.0.0.1:10001", "127.0.0.1:10002"},
		":300${INSTANCE}":            {PortInstance, true, "127.0.0.1:3001", "127.0.0.1:3002"},
		"h2c://${NAME}:80/$$x":       {PortFixed, false, "api:80", "api:80"},
		"unix:/run/${NAME}":          {PortNone, false, "/run/api", "/run/api"},
		"unix:/run/a${INSTANCE}":     {PortNone, true, "/run/a1", "/run/a2"},
		"unix:/run/${PORT}/$${PORT}": {PortChosen, true, "/run/10001/${PORT}", "/run/10002/${PORT}"},
	} {
		u, err := ParseUpstream(Text(text))
		if err != nil {
			t.Errorf("%s: %v", text, err)
		} else if got := u.PortFrom; got != want.from || u.Varies() != want.varies {
			t.Errorf("%s: got port from %d, varies %t, want %d, %t", text, got, u.Varies(), want.from, want.varies)
		} else if a, b := u.At(one).Address, u.At(two).Address; a != want.one || b != want.two {
			t.Errorf("%s: got %s and %s, want %s and %s", text, a, b, want.one, want.two)
		} else if u.String() != text {
			t.Errorf("got %s, want %s", u, text)
		}
	}
}

func FuzzUpstream(f *testing.F) {
	for _, s := range []string{"http://a:80/b", "unix:/x", "h2c://[::1]:3"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		upstream, err := ParseUpstream(Text(s))
		if err != nil {
			return
		}
		u := upstream.At(anInstance)
		if u.Address == "" || u.Host == "" || strings.ContainsAny(u.Address+u.Host+u.BasePath, "\r\n") && u.Network == "tcp" || u.BasePath != "" && (u.BasePath[0] != '/' || strings.HasSuffix(u.BasePath, "/")) {
			t.Errorf("%q is %+v", s, u)
		}
	})
}
