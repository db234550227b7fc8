package admin

import (
	"cmp"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"time"

	"github.com/watchdogd/watchdogd/schema"
	"github.com/watchdogd/watchdogd/supervisor/child"
)

// serveLogs answers with a JSON object a line: what the processes printed, what happened to
// them and, if it is asked for, the requests.
func (d *Server) serveLogs(w http.ResponseWriter, r *http.Request) {
	query := r.URL.Query()
	last, err := schema.ParseCount(cmp.Or(query.Get("lines"), "0"), 0, child.MostLines)
	if err != nil {
		refuse(w, http.StatusBadRequest, fmt.Errorf("lines %w", err))
		return
	}
	wanted := child.Selection{Last: last}
	if since := query.Get("since"); since != "" {
		if wanted.Since, err = time.Parse(time.RFC3339Nano, since); err != nil {
			refuse(w, http.StatusBadRequest, fmt.Errorf("since: %w", err))
			return
		}
	}
	sources, err := d.sources(query["name"], query.Has("requests"))
	if err != nil {
		refuse(w, http.StatusNotFound, err)
		return
	}
	w.Header().Set("Content-Type", "application/x-ndjson")
	out := json.NewEncoder(w)
	if !query.Has("follow") {
		for _, l := range child.LastLines(sources, wanted) {
			if out.Encode(l) != nil {
				return // the client went away
			}
		}
		return
	}
	control := http.NewResponseController(w)
	_ = control.Flush() // the client learns that the stream has begun; if it went away, Follow ends
	_ = child.Follow(r.Context(), sources, wanted, func(l child.Line) error {
		if err := out.Encode(l); err != nil {
			return err
		}
		return control.Flush()
	}) // it ends when the client goes away
}

// sources are what keeps the lines of names. A route that keeps no process has requests only.
func (d *Server) sources(names []string, requests bool) ([]child.Source, error) {
	var sources []child.Source
	var with []string
	for _, name := range names {
		_, err := d.Supervisor.Sources(name)
		switch {
		case err == nil:
			with = append(with, name)
		case !d.isRoute(name):
			return nil, d.noName(name)
		case !requests:
			return nil, fmt.Errorf("%s is a route without a process that could print something; --requests shows its requests", name)
		}
	}
	if requests {
		sources = append(sources, d.Requests.Of(names))
	}
	if len(with) == 0 && len(names) > 0 {
		return sources, nil
	}
	processes, err := d.Supervisor.Sources(with...)
	return append(sources, processes...), err
}

func (d *Server) isRoute(name string) bool {
	return slices.ContainsFunc(d.Config().Routes, func(r schema.Route) bool { return r.Name == name })
}
