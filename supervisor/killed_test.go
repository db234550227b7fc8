package supervisor

import (
	"context"
	"strings"
	"testing"

	"github.com/watchdogd/watchdogd/schema"
)

func TestAKillAfterStopGraceIsAWarning(t *testing.T) {
	spec := service(t, "db", "stubborn")
	spec.Process.Ready = schema.Probe{Log: "up"}
	spec.Process.Stop.Grace = 20 * ms
	s := newStack(t, spec)
	s.awaitState("db", Ready)
	if err := s.Supervisor.Stop(context.Background(), "db"); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{`"msg":"killed"`, `"service":"db"`, `"signal":"SIGTERM"`, `"grace":"20ms"`, "stop: {signal: INT}"} {
		if log := s.log.String(); !strings.Contains(log, want) {
			t.Errorf("got no %s in the log, want it:\n%s", want, log)
		}
	}
}
