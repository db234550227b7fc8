package signals

import (
	"syscall"
	"testing"
	"time"
)

func TestAHangupStopsOnlyBesideTheEndOfTheTerminal(t *testing.T) {
	const never = -1 * time.Second
	for name, test := range map[string]struct {
		hup, lost      time.Duration // after the start
		stops, reloads bool
	}{
		"a HUP alone":                 {time.Second, never, false, true},
		"the terminal alone":          {never, time.Second, false, false},
		"the terminal, then the HUP":  {2 * time.Second, time.Second, true, false},
		"the HUP, then the terminal":  {time.Second, 2 * time.Second, true, true},
		"the HUP long afterwards":     {time.Hour, time.Second, false, true},
		"the terminal long afterward": {time.Second, time.Hour, false, true},
	} {
		var stops, reloads bool
		s := &Signals{Stop: func(error) { stops = true }, Reload: func() { reloads = true }}
		start := time.Now()
		hup := func() { s.act(syscall.SIGHUP, start.Add(test.hup)) }
		lose := func() {
			s.lost = start.Add(test.lost)
			s.closing(s.lost)
		}
		switch {
		case test.lost == never:
			hup()
		case test.hup == never:
			lose()
		case test.hup < test.lost:
			hup()
			lose()
		default:
			lose()
			hup()
		}
		if stops != test.stops || reloads != test.reloads {
			t.Errorf("%s: got stop %v and reload %v, want %v and %v", name, stops, reloads, test.stops, test.reloads)
		}
	}
}
