package modes

import (
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/watchdogd/watchdogd/internal/call"
	"github.com/watchdogd/watchdogd/internal/failure"
)

func TestOnlyAClientOnThisMachineGetsTheOutputOfAProgram(t *testing.T) {
	const secret = "cannot connect to postgres://app:secret@db"
	for _, local := range []bool{true, false} {
		w := httptest.NewRecorder()
		c, r := call.Enter(w, httptest.NewRequest("GET", "/", nil))
		defer c.Leave()
		c.SetLocal(func() bool { return local })
		Respond(w, r, &failure.Error{Kind: failure.CrashLoop, Detail: "exit status 1", Local: secret})
		if got := strings.Contains(w.Body.String(), secret); got != local {
			t.Errorf("local %v: got %s, want what was printed in it: %v", local, w.Body, local)
		}
	}
}
