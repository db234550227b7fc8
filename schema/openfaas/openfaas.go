// Package openfaas reads the environment of an image that was built for one of the
// OpenFaaS watchdogs into the same schema.Config that a file is read into.
package openfaas

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/watchdogd/watchdogd/internal/regular"
	"github.com/watchdogd/watchdogd/schema"
)

// FromEnv reads the environment of an image that was built for of-watchdog or for the
// classic watchdog of OpenFaaS. It is another way to write the same Config, so nothing
// below has to ask where a Config came from: Parse of its Marshal equals it.
//
// The variables, their aliases and precedence, and the formats of their values are those
// of the two watchdogs. Values that cannot be parsed and variables without effect are
// listed in Notes. What those programs would not have started with, or what could not
// serve any request, is an error of one line each. Relative paths are resolved against
// the working directory.
//
// program is the name that this program was started by: as fwatchdog an image that sets
// no mode is one of the classic watchdog.
func FromEnv(environ []string, program string) (*schema.Config, Notes, error) {
	v := newVariables(environ)
	v.chooseDialect(program)
	c := schema.Default()
	c.Routes = []schema.Route{schema.DefaultRoute()}
	r := &c.Routes[0]
	v.name(&c, r)
	v.server(&c)
	v.health(&c)
	v.log(&c)
	v.limits(r)
	if v.classic() {
		v.classicRoute(&c, r)
	} else {
		v.route(&c, r)
	}
	v.auth(r)
	here, err := os.Getwd()
	if err != nil {
		here, err = syscall.Getwd() // ask the kernel, which also works in a folder that we cannot read
	}
	if err != nil {
		v.fail(fmt.Errorf("get the working directory: %w", err))
	}
	c.Health.LockFile, r.Root = absoluteFrom(here, c.Health.LockFile), absoluteFrom(here, r.Root)
	c.Complete(here)
	v.unused()
	slices.SortStableFunc(v.notes.Notes, func(a, b Note) int { return strings.Compare(a.Name, b.Name) })
	if err := errors.Join(v.errors...); err != nil {
		return nil, v.notes, err
	}
	return &c, v.notes, nil
}

// InEnv reports whether an environment is such a configuration.
func InEnv(environ []string) bool {
	v := newVariables(environ)
	for _, name := range []string{"fprocess", "function_process", "mode"} {
		if _, ok := v.values[name]; ok {
			return true
		}
	}
	return false
}

// Migrate writes the environment as a file, with the Notes as comments.
func Migrate(environ []string, program string) ([]byte, error) {
	c, notes, err := FromEnv(environ, program)
	if err != nil {
		return nil, err
	}
	file, err := c.Marshal()
	if err != nil {
		return nil, err
	}
	var out bytes.Buffer
	fmt.Fprintf(&out, "# Migrated from environment variables, read as %s: %s.\n", notes.Dialect, notes.Why)
	for _, n := range notes.Notes {
		fmt.Fprintf(&out, "# %s\n", strings.Map(oneLine, n.String()))
	}
	out.Write(file)
	return out.Bytes(), nil
}

func oneLine(r rune) rune {
	if r < ' ' || r == 0x7f || r == 0x85 || r == 0x2028 || r == 0x2029 || r == 0xfeff {
		return ' '
	}
	return r
}

// atLeast0 returns d, or 0 (none) if d is negative.
func atLeast0(d time.Duration) schema.Duration { return schema.Duration(max(d, 0)) }

func (v *variables) name(c *schema.Config, r *schema.Route) {
	name, _ := v.get("OPENFAAS_NAME")
	if name == "" {
		name = "function"
	}
	r.Name = schema.NameOf(name)
	c.Name = r.Name
	r.Path, r.StripPrefix = "/", false
	r.CrossOrigin = "allow" // as the watchdogs of OpenFaaS, which ask nothing about the origin
}

func (v *variables) server(c *schema.Config) {
	c.Server.Errors = "openfaas"
	if v.classic() {
		c.Server.Errors = "classic"
	}
	port := v.int("port", 8080)
	switch {
	case port < 0 && v.classic():
		v.note("port", "is not a valid port; using 8080")
		port = 8080
	case port < 0 || port > 65535:
		v.wrong("port", v.values["port"], "is not a valid port; write a number from 0 to 65535")
	}
	c.Server.Listen = schema.Strings{fmt.Sprintf(":%d", port)}

	// The peer is the gateway.
	c.Server.TrustedProxies = []netip.Prefix{netip.MustParsePrefix("0.0.0.0/0"), netip.MustParsePrefix("::/0")}

	read := v.duration("read_timeout", 30*time.Second)
	write := v.duration("write_timeout", 30*time.Second)
	interval := v.duration("healthcheck_interval", write)
	if write == 0 && !v.classic() {
		v.wrong("write_timeout", v.values["write_timeout"], "must be longer than 0; write a duration such as 30s, or unset it for the default of 30s")
	}
	// net/http uses the read timeout where no other is set.
	c.Server.Timeouts = schema.ServerTimeouts{Header: atLeast0(read), Read: atLeast0(read), Idle: atLeast0(read), Write: atLeast0(write)}
	c.Server.Drain = schema.Drain{Delay: atLeast0(interval), Timeout: atLeast0(write)}
	if write == 0 {
		c.Server.Drain.Timeout = schema.Default().Server.Drain.Timeout
	}

	c.Metrics = schema.Metrics{Listen: ":8081", Optional: true}
	if given, ok := v.ownInt("metrics_port", 0, 65535); ok {
		c.Metrics.Listen = fmt.Sprintf(":%d", given)
		if given == 0 {
			c.Metrics.Listen = ""
		}
	}
	if c.Metrics.Listen == c.Server.Listen[0] {
		c.Metrics.Listen = ""
		v.note("port", "is also the metrics port; metrics are not served: set metrics_port to another port")
	}
	c.Admin.Optional = true
}

func (v *variables) health(c *schema.Config) {
	c.Health.Live = "lock"
	if !v.bool("suppress_lock", false) {
		c.Health.LockFile = LockFile(v.get)
	}
	if v.classic() {
		c.Health.Ready = "none"
		return
	}
	c.Health.Ready = "limit"
	if path, _ := v.get("ready_path"); path != "" {
		c.Health.ReadyPath = "/" + strings.TrimPrefix(path, "/")
	}
}

// LockFile returns the path of an image's lock file, from the variables that env looks up.
func LockFile(env func(string) (string, bool)) string {
	dir, _ := env("TMPDIR")
	if dir == "" {
		dir = "/tmp"
	}
	return filepath.Join(dir, ".lock")
}

func (v *variables) log(c *schema.Config) {
	c.Log.Format = "classic"
	if v.classic() {
		c.Log.Output = v.bool("write_debug", false)
		c.Log.Headers = v.bool("debug_headers", false)
		return
	}
	c.Log.Prefix = v.parsedBool("prefix_logs", true)
	// of-watchdog's README calls it log_call_id; the program reads log_callid.
	c.Log.CallID = v.parsedBool("log_call_id", v.parsedBool("log_callid", false))
	if value, ok := v.get("log_buffer_size"); ok {
		switch n, err := strconv.Atoi(value); {
		case err != nil:
			v.wrong("log_buffer_size", value, "is not a number; write digits only")
		case n == 0:
			v.note("log_buffer_size", "would log nothing; using 65536")
		default:
			c.Log.Line = schema.Size(max(n, 0)) // negative is unlimited
		}
	}
}

func (v *variables) limits(r *schema.Route) {
	r.Limits.Inflight = max(0, v.int("max_inflight", 0))
	if queue, ok := v.ownInt("queue", -1, math.MaxInt32); ok {
		r.Limits.Queue = queue
	}
}

// command splits a command as the watchdogs do: at single spaces, without quotes.
func (v *variables) command(r *schema.Route, name, command string) {
	if strings.TrimSpace(command) == "" {
		v.fail(fmt.Errorf("no program to run: %s is not set or is empty; provide a \"function_process\" or \"fprocess\" environmental variable for your function", name))
		return
	}
	if command[0] == ' ' {
		v.wrong(name, command, "starts with a space, which leaves the program name empty; remove the space")
		return
	}
	for word := range strings.SplitSeq(command, " ") {
		r.FProcess.Words = append(r.FProcess.Words, schema.Literal(word))
	}
}

// forking reads the variables for a process that is started per request.
func (v *variables) forking(r *schema.Route) {
	// The originals kill at once. Here the function may clean up, but is gone within a second.
	r.Stop.Grace = schema.Duration(500 * time.Millisecond)
	if warm, ok := v.ownInt("warm", 0, 10000); ok {
		r.Warm = warm
	}
	if form, ok := v.ownWord("form", "json", "files"); ok {
		r.Form = form
	}
	if response, ok := v.ownWord("response", "raw", "cgi"); ok {
		r.Response = response
	}
	if environ, ok := v.ownWord("environ", "openfaas", "cgi", "none"); ok {
		r.Environ = environ
	}
}

// auth reads which tokens are accepted.
func (v *variables) auth(r *schema.Route) {
	on, local, debug := v.bool("jwt_auth", false), v.bool("jwt_auth_local", false), v.bool("jwt_auth_debug", false)
	if !on {
		return
	}
	auth := schema.OpenFaaSAuth{Gateway: "http://gateway.openfaas:8080", Debug: debug}
	if local {
		auth.Gateway = "http://127.0.0.1:8000"
	}
	name, _ := v.get("OPENFAAS_NAME")
	namespace, _ := v.get("OPENFAAS_NAMESPACE")
	if namespace == "" {
		if data, err := regular.ReadFile("/var/run/secrets/kubernetes.io/serviceaccount/namespace"); err == nil {
			namespace = strings.TrimSpace(string(data))
		}
	}
	if name == "" || namespace == "" {
		v.fail(errors.New("jwt_auth needs OPENFAAS_NAME and OPENFAAS_NAMESPACE to find the permissions for this function; set both"))
	}
	auth.Function = namespace + ":" + name
	r.Auth.OpenFaaS = &auth
}

// unused notes the variables of either watchdog that had no effect.
func (v *variables) unused() {
	for _, name := range theirs {
		if _, there := v.values[name]; there && !v.used[name] {
			v.note(name, "has no effect in this mode")
		}
	}
}

// theirs are the variables that either watchdog reads, or its README lists.
var theirs = []string{
	"function_process", "fprocess", "mode", "http_upstream_url", "upstream_url", "http_buffer_req_body", "buffer_http",
	"read_timeout", "write_timeout", "exec_timeout", "healthcheck_interval", "port", "content_type", "static_path",
	"suppress_lock", "max_inflight", "prefix_logs", "log_buffer_size", "log_callid", "log_call_id", "ready_path",
	"jwt_auth", "jwt_auth_debug", "jwt_auth_local", "cgi_headers", "combine_output", "combined_output",
	"marshal_request", "write_debug", "debug_headers", "read_debug", "afterburn",
}

func absoluteFrom(dir, path string) string {
	switch {
	case path == "":
		return ""
	case filepath.IsAbs(path):
		return filepath.Clean(path)
	}
	return filepath.Join(dir, path)
}
