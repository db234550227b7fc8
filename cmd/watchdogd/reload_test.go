package main

import (
	"io"
	"strings"
	"testing"
)

// A forked call whose route a reload removed or changed has stop.drain, however long
// timeouts.exec is; the calls of other routes go on.
func TestForkedCallsOfAReplacedRouteAreCutAfterStopDrain(t *testing.T) {
	const yaml = `
server: {listen: "LISTEN"}
defaults: {stop: {drain: 300ms}, timeouts: {exec: 1h}}
routes:
  - {name: kept, mode: streaming, shell: true, fprocess: "echo tick; exec sleep 1000"}
  - {name: changed, mode: streaming, shell: true, fprocess: "echo tick; exec sleep 1001"}
  - {name: gone, mode: streaming, shell: true, fprocess: "echo tick; exec sleep 1002"}
`
	d := serveFile(t, yaml).waitListening()
	kept, changed, gone := d.stream("/kept", ""), d.stream("/changed", ""), d.stream("/gone", "")
	without, _, _ := strings.Cut(yaml, "  - {name: gone")
	d.write(strings.Replace(without, "1001", "1003", 1))
	if out, errOut, status := d.command("reload"); status != 0 {
		t.Fatalf("got status %d from reload: %s%s, want 0", status, out, errOut)
	}
	for name, c := range map[string]io.Reader{"changed": changed, "gone": gone} {
		if rest, err := io.ReadAll(c); strings.HasSuffix(string(rest), "0\r\n\r\n") {
			t.Errorf("%s: got %q, %v, want a response that is visibly cut", name, rest, err)
		}
		d.waitLog(`"msg":"calls cut","route":"` + name + `","calls":1`)
	}
	var left []string
	for _, s := range d.ps() {
		if s.Inflight > 0 {
			left = append(left, s.Name)
		}
	}
	if got, want := strings.Join(left, " "), "kept"; got != want {
		t.Errorf("got calls in flight of %q, want of %q", got, want)
	}
	_ = kept.Close()
}
