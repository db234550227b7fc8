package supervisor

import (
	"testing"

	"github.com/watchdogd/watchdogd/schema"
)

func TestAnEscapedVariableIsNotUsed(t *testing.T) {
	for _, c := range []struct {
		line schema.Text
		port portRule
	}{
		{"serve --port ${PORT}", portChosen},
		{"serve --port $${PORT}", portNone},
		{"serve --port $$${PORT}", portChosen},
	} {
		spec := service(t, "db", "sleep")
		spec.Process.Env["LINE"] = c.line
		r, err := prepare(spec)
		if err != nil {
			t.Fatal(err)
		}
		if r.port != c.port {
			t.Errorf("%s: got the rule %d, want %d", c.line, r.port, c.port)
		}
	}
}
