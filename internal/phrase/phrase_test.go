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
