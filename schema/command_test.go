package schema

import "testing"

func TestShellCommandsStayOneLine(t *testing.T) {
	c := parseGood(t, `
routes:
  - name: a
    fprocess: 'echo "$x" $1 $$y ${HOME} ${PORT} $(date) | tr a b; exit 3 '
    shell: true
`)
	if got, want := c.Routes[0].FProcess.Line.Expand(Vars{Port: 4000}), `echo "$x" $1 $y /home/a 4000 $(date) | tr a b; exit 3 `; got != want || c.Routes[0].FProcess.Words != nil {
		t.Errorf("it is %q and not %q", got, want)
	}
}
