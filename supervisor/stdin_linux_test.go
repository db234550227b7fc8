package supervisor

import (
	"fmt"
	"os"
	"strings"
	"testing"
)

func TestStdinIsNullOrAPipeOnWhichNothingComes(t *testing.T) {
	null, open := service(t, "null", "sleep"), service(t, "open", "cat")
	open.OpenStdin = true
	s := newStack(t, null, open)
	for name, want := range map[string]string{"null": "/dev/null", "open": "pipe:["} {
		st := s.awaitState(name, Ready)
		file, err := os.Readlink(fmt.Sprintf("/proc/%d/fd/0", st.Instances[0].PID))
		if err != nil || !strings.HasPrefix(file, want) {
			t.Errorf("%s: got %q, %v, want %q at its start and no error", name, file, err, want)
		}
	}
	if err := s.Restart(t.Context(), "open"); err != nil {
		t.Fatal(err)
	}
	if st := s.awaitState("open", Ready); st.LastExit != "" && !strings.Contains(st.LastExit, "SIGTERM") {
		t.Errorf(`it ended by itself: got %+v, want st.LastExit == "" || strings.Contains(st.LastExit, "SIGTERM")`, st)
	}
}
