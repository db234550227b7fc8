package admin

import (
	"errors"
	"fmt"
	"net/http"
	"runtime"
	"runtime/pprof"
	"runtime/trace"
	"strings"
	"time"

	"github.com/watchdogd/watchdogd/schema"
)

// mostProfiled is how long a profile or a trace may be recorded.
const mostProfiled = 300

// serveProfile answers with a profile of this program, for go tool pprof and go tool trace, at
// the paths of net/http/pprof, which would answer on every server of the process that
// serves http.DefaultServeMux, and costs time at each start.
func serveProfile(w http.ResponseWriter, r *http.Request) {
	name := r.PathValue("profile")
	switch name {
	case "":
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		for _, p := range pprof.Profiles() {
			_, _ = fmt.Fprintf(w, "%s %d\n", p.Name(), p.Count()) // the client has gone
		}
		_, _ = fmt.Fprint(w, "profile\ntrace\n")
	case "profile":
		record(w, r, "30", func() error { return pprof.StartCPUProfile(w) }, pprof.StopCPUProfile)
	case "trace":
		record(w, r, "1", func() error { return trace.Start(w) }, trace.Stop)
	default:
		profile(w, r, name)
	}
}

// record records for so many seconds as the request says.
func record(w http.ResponseWriter, r *http.Request, seconds string, start func() error, stop func()) {
	if asked := r.URL.Query().Get("seconds"); asked != "" {
		seconds = asked
	}
	n, err := schema.ParseCount(seconds, 1, mostProfiled)
	if err != nil {
		refuse(w, http.StatusBadRequest, fmt.Errorf("seconds %w", err))
		return
	}
	w.Header().Set("Content-Type", "application/octet-stream")
	if err := start(); err != nil {
		refuse(w, http.StatusConflict, err)
		return
	}
	defer stop()
	select {
	case <-time.After(time.Duration(n) * time.Second):
	case <-r.Context().Done():
	}
}

// profile writes what is known now.
func profile(w http.ResponseWriter, r *http.Request, name string) {
	p := pprof.Lookup(name)
	if p == nil {
		var names []string
		for _, p := range pprof.Profiles() {
			names = append(names, p.Name())
		}
		refuse(w, http.StatusNotFound, errors.New("no profile is named "+name+"; there are profile, trace, "+strings.Join(names, ", ")))
		return
	}
	if name == "heap" && r.URL.Query().Get("gc") != "" {
		runtime.GC()
	}
	debug := 0
	switch r.URL.Query().Get("debug") {
	case "1":
		debug = 1
	case "2":
		debug = 2
	}
	w.Header().Set("Content-Type", "application/octet-stream")
	if debug > 0 {
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	}
	_ = p.WriteTo(w, debug) // the client has gone
}
