package phrase

import "testing"

func TestTheNearestWordIsFound(t *testing.T) {
	words := []string{"name", "server", "timeouts", "routes", "services", "replicas", "env", "env_file"}
	for word, want := range map[string]string{"tiemouts": "timeouts", "nmae": "name", "timeout": "timeouts", "Routes": "routes", "route": "routes", "replica": "replicas", "envfile": "env_file", "xyz": "", "": "", "q": "", "foobar": ""} {
		if got := Nearest(word, words); got != want {
			t.Errorf("%q: got %q, want %q", word, got, want)
		}
	}
}

func TestLongTextIsShortenedInQuotes(t *testing.T) {
	long := ""
	for range 61 {
		long += "é"
	}
	if got, want := Quote(long), `"`+long[:120]+`..."`; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	if got, want := Quote(long[:120]), `"`+long[:120]+`"`; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestNumbersOfThings(t *testing.T) {
	for n, want := range map[int]string{0: "0 routes are", 1: "1 route is", 2: "2 routes are"} {
		if got := Count(n, "route") + " " + Of(n, "is", "are"); got != want {
			t.Errorf("%d: got %q, want %q", n, got, want)
		}
	}
}

func TestAListEndsWithAnd(t *testing.T) {
	for _, c := range []struct {
		words []string
		want  string
	}{{nil, ""}, {[]string{"a"}, "a"}, {[]string{"a", "b"}, "a and b"}, {[]string{"a", "b", "c"}, "a, b and c"}} {
		if got := All(c.words); got != c.want {
			t.Errorf("%q: got %q, want %q", c.words, got, c.want)
		}
	}
}
