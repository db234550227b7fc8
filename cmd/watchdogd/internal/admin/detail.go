package admin

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"time"

	"github.com/watchdogd/watchdogd/internal/phrase"
	"github.com/watchdogd/watchdogd/schema"
	"github.com/watchdogd/watchdogd/supervisor"
	"github.com/watchdogd/watchdogd/supervisor/child"
	"github.com/watchdogd/watchdogd/supervisor/lives"
)

// Detail is all about one route or service: what ps NAME --json prints.
type Detail struct {
	Row
	Why    string       `json:"why"`    // one sentence, as why has it
	Lives  []lives.Life `json:"lives"`  // the latest first: those that run, and the last ten that are over
	Output []child.Line `json:"output"` // the last lines that it printed, oldest first
}

// mostOutput is how many lines of output a Detail and an Explanation have by default.
const mostOutput = 10

// serveDetail answers with a Detail.
func (d *Server) serveDetail(w http.ResponseWriter, r *http.Request) {
	d.detail(w, r.PathValue("name"), func(*Detail) {})
}

// serveQuietDetail is serveDetail without what the programs print: why may quote it.
func (d *Server) serveQuietDetail(w http.ResponseWriter, r *http.Request) {
	d.detail(w, r.PathValue("name"), func(of *Detail) { of.Why, of.Output = "", []child.Line{} })
}

func (d *Server) detail(w http.ResponseWriter, name string, edit func(*Detail)) {
	for _, row := range d.List() {
		if row.Name != name {
			continue
		}
		of := Detail{Row: row, Why: d.explain(name, row).Why, Lives: []lives.Life{}, Output: d.output(name)}
		if p := d.Supervisor.Process(name); p != nil {
			of.Lives = p.Lives()
		}
		edit(&of)
		reply(w, of)
		return
	}
	refuse(w, http.StatusNotFound, d.noName(name))
}

// serveWhy answers with a supervisor.Explanation.
func (d *Server) serveWhy(w http.ResponseWriter, r *http.Request) {
	name := r.PathValue("name")
	for _, row := range d.List() {
		if row.Name == name {
			e := d.explain(name, row)
			e.Output = d.output(name)
			reply(w, e)
			return
		}
	}
	refuse(w, http.StatusNotFound, d.noName(name))
}

// explain says why the route or service of row is in its state. The process of a route that
// has none is that of each call.
func (d *Server) explain(name string, row Row) supervisor.Explanation {
	p := d.Supervisor.Process(name)
	if p != nil && !row.Removed {
		return p.Explain()
	}
	e := supervisor.Explanation{Name: name, State: row.State, Ready: row.State == supervisor.Ready, Why: row.Reason, LastExit: row.LastExit, Output: []child.Line{}}
	if row.Removed {
		return e
	}
	routes := d.Config().Routes
	for i := range routes {
		if r := &routes[i]; r.Name == name {
			e.Why = d.without(r)
			switch {
			case row.Reason != "":
				e.Why += ": " + row.Reason
			case r.Mode.Traits().Elsewhere && len(row.Endpoints) == 0:
				e.Why += ", and its name is resolved by the first request"
			}
			if last, failing := d.Requests.Failing(name); failing {
				e.Why += LastFailed + last.Time.Local().Format(time.TimeOnly) + ": " + last.Text
			}
		}
	}
	if waits := d.waits(name); waits != "" {
		e.Ready, e.State, e.Why = false, supervisor.Waiting, waits
	}
	return e
}

// LastFailed begins what the sentence for a route without a process of its own says of its last
// request, if that failed.
const LastFailed = "; its last request failed at "

// without is the sentence for a route without a process of its own.
func (d *Server) without(r *schema.Route) string {
	switch {
	case r.Forks():
		return "a process is started for each call"
	case r.Mode == schema.Static:
		return "it serves files"
	}
	return "its upstream " + r.Upstream.String() + " is run elsewhere"
}

// waits says what the calls of a forking route wait for; empty when for nothing.
func (d *Server) waits(name string) string {
	cfg := d.Config()
	for i := range cfg.Routes {
		if r := &cfg.Routes[i]; r.Name == name && r.Forks() && len(r.DependsOn) > 0 {
			now, cancel := context.WithCancel(context.Background())
			cancel()
			if err := d.Supervisor.Await(now, r.DependsOn); err != nil {
				return err.Error()
			}
		}
	}
	return ""
}

// output is the last lines that the processes of a name printed.
func (d *Server) output(name string) []child.Line {
	lines, err := d.Supervisor.Logs(0, name)
	if err != nil { // it prints nothing, as static files
		return []child.Line{}
	}
	printed := slices.DeleteFunc(append([]child.Line{}, lines...), func(l child.Line) bool { return l.Stream != "stdout" && l.Stream != "stderr" })
	return printed[max(len(printed)-mostOutput, 0):]
}

// noName is the error for a name that is not in the list.
func (d *Server) noName(name string) error {
	var names []string
	for _, row := range d.List() {
		names = append(names, row.Name)
	}
	if near := phrase.Nearest(name, names); near != "" {
		return fmt.Errorf("no route or service is named %s; did you mean %s?", name, near)
	}
	return fmt.Errorf("no route or service is named %s; there %s %s", name, phrase.Of(len(names), "is", "are"), some(names, 20, "more"))
}
