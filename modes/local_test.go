package modes

import (
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/watchdogd/watchdogd/internal/failure"
)

type clientAt struct {
	*httptest.ResponseRecorder
	local bool
}

func (c clientAt) Local() bool { return c.local }

func TestOnlyAClientOnThisMachineIsToldWhatAProgramPrinted(t *testing.T) {
	const secret = "cannot connect to postgres://app:secret@db"
	for _, local := range []bool{true, false} {
		w := clientAt{httptest.NewRecorder(), local}
		Respond(w, httptest.NewRequest("GET", "/", nil), &failure.Error{Kind: failure.CrashLoop, Detail: "exit status 1", Local: secret})
		if got := strings.Contains(w.Body.String(), secret); got != local {
			t.Errorf("local %v: got %s, want what was printed in it: %v", local, w.Body, local)
		}
	}
}
