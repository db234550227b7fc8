package openfaas

import (
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"time"

	"github.com/watchdogd/watchdogd/schema"
)

// route reads the variables that of-watchdog has for a function.
func (v *variables) route(c *schema.Config, r *schema.Route) {
	exec := v.duration("exec_timeout", 30*time.Second)
	// Requests wait for a starting server for as long as they may last.
	r.Timeouts.Exec, r.Timeouts.Queue = atLeast0(exec), atLeast0(exec)
	mode, _ := v.get("mode")
	if mode == "" {
		mode = "streaming"
	}
	switch r.Mode = schema.Mode(mode); r.Mode {
	case schema.Static:
		v.static(c, r)
		return
	case schema.Streaming, schema.Serializing:
		v.forking(r)
		r.ContentType = "application/octet-stream"
		if value, ok := v.get("content_type"); ok {
			r.ContentType = value
		}
	case schema.HTTP:
		v.upstream(r)
		// Either is enough.
		buffer, old := v.bool("http_buffer_req_body", false), v.bool("buffer_http", false)
		r.BufferBody = buffer || old
		v.supervised(r)
	case schema.Afterburn:
		r.Timeouts.Queue = 0 // one request at a time; the others wait
		v.supervised(r)
	default:
		why := "is not a mode; write http, streaming, serializing, afterburn, static or classic"
		if mode == "inproc" {
			why = "is for Go programs that use of-watchdog as a library; build the program as an HTTP server and set mode=http"
		}
		v.wrong("mode", mode, why)
	}
	name := "function_process" // takes precedence, even if it is empty
	command, ok := v.get(name)
	if !ok {
		name = "fprocess"
		command, _ = v.get(name)
	}
	v.command(r, name, command)
}

func (v *variables) static(c *schema.Config, r *schema.Route) {
	r.Timeouts.Exec, r.Timeouts.Queue = 0, 0
	c.Log.Access = false
	root, ok := v.get("static_path")
	switch {
	case !ok:
		root = "/home/app/public"
	case root == "":
		v.fail(errors.New("static_path is empty; set it to the folder to serve, or unset it for /home/app/public"))
	}
	r.Root = root
}

// supervised reads the variables for a long-lived process.
func (v *variables) supervised(r *schema.Route) {
	r.Timeouts.Start = 0 // of-watchdog waits without a limit
	if policy, ok := v.ownWord("restart", "always", "on-failure"); ok {
		r.Restart.Policy = policy
	} else {
		// When the function exits the container does, and the orchestrator starts it again.
		r.Restart.GiveUp.Exits, r.Restart.Then = 1, "exit"
	}
	if replicas, ok := v.ownInt("replicas", 1, 10000); ok {
		r.Replicas.Min, r.Replicas.Max = replicas, replicas
	}
	if r.Mode == schema.HTTP && r.Replicas.Max > 1 && !r.Upstream.Empty() && !r.Upstream.Varies() {
		v.wrong("replicas", v.values["replicas"], fmt.Sprintf("cannot all listen on %s; write ${PORT} for the port in http_upstream_url, and have the function listen on $PORT", r.Upstream))
	}
}

func (v *variables) upstream(r *schema.Route) {
	name := "http_upstream_url"
	upstream, ok := v.get(name)
	if !ok {
		name = "upstream_url"
		upstream, _ = v.get(name)
	}
	if upstream == "" {
		v.fail(errors.New(`for "mode=http" you must specify a valid URL for "http_upstream_url", such as http://127.0.0.1:3000`))
		return
	}
	address := upstream
	if path, ok := strings.CutPrefix(upstream, "unix:"); ok && !filepath.IsAbs(path) {
		if full, err := filepath.Abs(path); err == nil {
			address = "unix:" + full
		}
	}
	// ${PORT}, the port chosen for each instance, is an extension of ours.
	var err error
	if r.Upstream, err = schema.ParseUpstream(schema.Text(strings.ReplaceAll(string(schema.Literal(address)), "$${PORT}", "${PORT}"))); err != nil {
		v.wrong(name, upstream, fmt.Sprintf("is not a valid upstream: %v", err))
	}
}
