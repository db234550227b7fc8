package openfaas

import (
	"fmt"

	"github.com/watchdogd/watchdogd/internal/phrase"
)

// The dialects.
const (
	OfWatchdog = "of-watchdog"
	Classic    = "classic-watchdog"
)

// Notes are what an operator who moves an image should know.
type Notes struct {
	Dialect string // OfWatchdog or Classic
	Why     string // the reason for that dialect, in one phrase
	Notes   []Note // in the order of their names
}

// Note is about one variable.
type Note struct{ Name, Value, Message string }

// String returns the note in one line.
func (n Note) String() string {
	return fmt.Sprintf("%s=%s %s", n.Name, phrase.Quote(n.Value), n.Message)
}

// fwatchdog is the name of the program in the images of both watchdogs.
const fwatchdog = "fwatchdog"

// chooseDialect decides which of the two watchdogs the image was built for. Public images
// of of-watchdog set mode; those of the classic watchdog, which does not read it, do not.
func (v *variables) chooseDialect(program string) {
	switch mode := v.values["mode"]; mode {
	case "classic":
		v.notes.Dialect, v.notes.Why = Classic, "mode=classic"
		v.used["mode"] = true
		return
	case "":
		for _, name := range []string{"combine_output", "marshal_request", "cgi_headers", "debug_headers", "read_debug", "write_debug"} {
			if v.values[name] != "" {
				v.notes.Dialect, v.notes.Why = Classic, fmt.Sprintf("mode is not set and %s is; mode=streaming selects of-watchdog", name)
				return
			}
		}
		switch {
		case program != fwatchdog:
			v.notes.Dialect, v.notes.Why = OfWatchdog, "mode is not set; mode=classic selects the classic watchdog"
		case v.values["fprocess"] == "" && v.values["function_process"] != "":
			v.notes.Dialect, v.notes.Why = OfWatchdog, "function_process is set, which only of-watchdog reads"
		default:
			v.notes.Dialect, v.notes.Why = Classic, "mode is not set and the program is called fwatchdog; mode=streaming selects of-watchdog"
		}
	default:
		v.notes.Dialect, v.notes.Why = OfWatchdog, "mode="+mode
	}
}

func (v *variables) classic() bool { return v.notes.Dialect == Classic }
