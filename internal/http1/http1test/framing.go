package http1test

import (
	"strings"
	"testing"
)

// CheckFraming checks that a request has one sign of its length at most, in plain form.
func CheckFraming(t testing.TB, name, request string) {
	t.Helper()
	head, _, _ := strings.Cut(request, "\r\n\r\n")
	lengths := 0
	for i, line := range strings.Split(head, "\r\n") {
		if strings.ContainsAny(line, "\r\n\x00") || i > 0 && (line == "" || line[0] == ' ' || line[0] == '\t') {
			t.Errorf("%s: got the line %q, want none that another reader may read differently", name, line)
		}
		switch field, _, _ := strings.Cut(line, ":"); strings.ToLower(strings.TrimSpace(field)) {
		case "content-length", "transfer-encoding":
			lengths++
		}
	}
	if lengths > 1 {
		t.Errorf("%s: got %q, want one sign of the length at most", name, head)
	}
}
