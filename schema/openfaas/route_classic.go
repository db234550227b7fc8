package openfaas

import "github.com/watchdogd/watchdogd/schema"

// classicRoute reads the variables that the classic watchdog has for a function.
func (v *variables) classicRoute(c *schema.Config, r *schema.Route) {
	r.Mode = schema.Serializing
	r.Timeouts.Exec = atLeast0(v.duration("exec_timeout", 0))
	r.Methods = schema.Strings{"DELETE", "GET", "PATCH", "POST", "PUT"}
	r.Environ, r.Stderr = "none", "log"
	if v.bool("cgi_headers", true) {
		r.Environ = "classic"
	}
	if v.bool("combine_output", true) {
		r.Stderr = "body"
	}
	if v.bool("marshal_request", false) {
		r.Request = "json"
	}
	r.ContentType = "auto" // that of the request, otherwise detected from the body
	if value, ok := v.get("content_type"); ok {
		r.ContentType = value
	}
	v.forking(r)
	if r.Request == "json" && r.Form != "" {
		v.note("form", "has no effect; with marshal_request the whole request is one JSON object already")
		r.Form = ""
	}
	command, _ := v.get("fprocess")
	v.command(r, "fprocess", command)
}
