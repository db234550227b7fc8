package supervisor

import (
	"context"
	"io"
	"log/slog"
	"slices"
	"strings"
	"testing"

	"github.com/watchdogd/watchdogd/schema"
	"github.com/watchdogd/watchdogd/supervisor/child"
)

func TestOutputAfterTheLeadersDeathIsRead(t *testing.T) {
	spec := service(t, "api", "")
	spec.Process.Shell = true
	// On TERM the leader ends, and the other prints when the leader is gone.
	spec.Process.FProcess = schema.Command{Line: `(trap 'while kill -0 $$$$ 2>/dev/null; do sleep 0.01; done; printf last; exit' TERM
		echo first; while :; do sleep 0.01; done) & trap 'exit 3' TERM; while :; do sleep 0.01; done`}
	spec.Process.Ready = schema.Probe{Log: "first"}
	spec.Process.Stop.Grace = schema.Duration(bound)
	s := newStack(t, spec)
	s.awaitState("api", Ready)
	if err := s.Supervisor.Stop(context.Background(), "api"); err != nil {
		t.Fatal(err)
	}
	lines, err := s.Logs(0, "api")
	lines = slices.DeleteFunc(lines, func(l child.Line) bool { return l.Stream == "stderr" }) // the shell's own
	if err != nil || len(lines) != 2 || lines[0].Text != "first" || lines[1].Text != "last" {
		t.Errorf("got %+v %v, want 2 of them, no error, lines[0].Text first and lines[1].Text last", lines, err)
	}
}

func TestLogsKeepTheLastLinesAndFollow(t *testing.T) {
	o := child.NewOutput(slog.New(slog.DiscardHandler), "route", "fn", child.Printing{})
	var b strings.Builder
	for range child.MostLines * 3 {
		b.WriteString("line\n")
	}
	o.Copy(7, "stdout", strings.NewReader(b.String()))
	o.Copy(7, "stderr", strings.NewReader("the last\n"))
	s := New(Options{Log: slog.New(slog.DiscardHandler)})
	s.Attach(o)
	if all, err := s.Logs(0, "fn"); err != nil || len(all) != child.MostLines || all[child.MostLines-1].Text != "the last" {
		t.Errorf("got %d lines %v, want %d, no error and all[child.MostLines-1].Text the last", len(all), err, child.MostLines)
	}
	if _, err := s.Logs(0, "other"); err == nil {
		t.Error("got the lines of a name that does not exist, want an error")
	}
	ctx, cancel := context.WithTimeout(context.Background(), bound)
	defer cancel()
	var got []string
	err := s.Follow(ctx, 2, []string{"fn"}, func(l child.Line) error {
		got = append(got, l.Stream+" "+l.Text)
		switch len(got) {
		case 2:
			go o.Copy(8, "stdout", strings.NewReader("and more\n"))
		case 3:
			return io.EOF
		}
		return nil
	})
	if err != io.EOF || strings.Join(got, ", ") != "stdout line, stderr the last, stdout and more" {
		t.Errorf(`got %v %v, want err == io.EOF && strings.Join(got, ", ") == "stdout line, stderr the last, stdout and more"`, got, err)
	}
}

func TestAProgramWithATerminalIsOnOneAndItsLinesAreRead(t *testing.T) {
	spec := service(t, "api", "")
	spec.Process.Shell, spec.Process.TTY = true, true
	spec.Process.Restart.Policy = "never"
	spec.Process.FProcess = schema.Command{Line: `test -t 1 && test -t 2 && stty size <&1; echo err >&2; echo again >/dev/stdout; printf 'no newline'`}
	s := newStack(t, spec)
	s.awaitState("api", Exited)
	lines, err := s.Logs(0, "api")
	var got []string
	for _, l := range lines {
		got = append(got, l.Stream+" "+l.Text)
	}
	if want := []string{"stdout 30 100", "stdout err", "stdout again", "stdout no newline"}; err != nil || !slices.Equal(got, want) {
		t.Errorf("got %q, %v, want %q", got, err, want)
	}
}
