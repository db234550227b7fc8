package openfaas

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/watchdogd/watchdogd/schema"
)

// fromEnv reads an environment that must be right.
func fromEnv(t testing.TB, environ ...string) (*schema.Config, *schema.Route, Notes) {
	t.Helper()
	c, notes, err := FromEnv(environ, "watchdogd")
	if err != nil {
		t.Fatalf("%q: %v", environ, err)
	}
	return c, &c.Routes[0], notes
}

func TestTheDialectIsChosenByWhatIsSet(t *testing.T) {
	const (
		noMode  = "mode is not set; mode=classic selects the classic watchdog"
		undo    = "; mode=streaming selects of-watchdog"
		byName  = "mode is not set and the program is called fwatchdog" + undo
		command = "function_process is set, which only of-watchdog reads"
	)
	for _, row := range []struct{ program, environ, want string }{
		{"watchdogd", "fprocess=cat", "of-watchdog: " + noMode},
		{"watchdogd", "fprocess=cat mode=", "of-watchdog: " + noMode},
		{"watchdogd", "fprocess=cat mode=http upstream_url=a:1", "of-watchdog: mode=http"},
		{"watchdogd", "fprocess=cat mode=classic", "classic-watchdog: mode=classic"},
		{"watchdogd", "fprocess=cat combine_output=false", "classic-watchdog: mode is not set and combine_output is" + undo},
		{"watchdogd", "fprocess=cat mode= cgi_headers=true", "classic-watchdog: mode is not set and cgi_headers is" + undo},
		{"watchdogd", "fprocess=cat read_debug=1", "classic-watchdog: mode is not set and read_debug is" + undo},
		{"watchdogd", "fprocess=cat marshal_request=", "of-watchdog: " + noMode},
		{"watchdogd", "fprocess=cat write_debug=true", "classic-watchdog: mode is not set and write_debug is" + undo},
		{"watchdogd", "fprocess=cat write_debug=false", "classic-watchdog: mode is not set and write_debug is" + undo},
		{"watchdogd", "fprocess=x mode=afterburn cgi_headers=true", "of-watchdog: mode=afterburn"},
		{"watchdogd", "fprocess=x mode=streaming debug_headers=yes", "of-watchdog: mode=streaming"},
		{"fwatchdog", "fprocess=cat", "classic-watchdog: " + byName},
		{"fwatchdog", "fprocess=cat mode=", "classic-watchdog: " + byName},
		{"fwatchdog", "fprocess=cat mode=classic", "classic-watchdog: mode=classic"},
		{"fwatchdog", "fprocess=cat write_debug=false", "classic-watchdog: mode is not set and write_debug is" + undo},
		{"fwatchdog", "fprocess=cat mode=streaming", "of-watchdog: mode=streaming"},
		{"fwatchdog", "fprocess=cat mode=streaming write_debug=true", "of-watchdog: mode=streaming"},
		{"fwatchdog", "fprocess=cat mode=serializing", "of-watchdog: mode=serializing"},
		{"fwatchdog", "fprocess=cat function_process=cat", "classic-watchdog: " + byName},
		{"fwatchdog", "function_process=cat", "of-watchdog: " + command},
	} {
		_, notes, err := FromEnv(strings.Fields(row.environ), row.program)
		if got := notes.Dialect + ": " + notes.Why; err != nil || got != row.want {
			t.Errorf("as %s, %s: got %q, %v; want %q", row.program, row.environ, got, err, row.want)
		}
	}
	for environ, want := range map[string]bool{"": false, "PATH=/bin": false, "fprocess=": true, "function_process=x": true, "mode=static": true, "port=8080": false} {
		if InEnv(strings.Fields(environ)) != want {
			t.Errorf("%q is a configuration: got %v, want InEnv(strings.Fields(environ)) == want", environ, !want)
		}
	}
}

// TestEveryVariable has a row for each variable and form: what is set, and how the
// configuration then differs from that of fprocess=cat alone.
func TestEveryVariable(t *testing.T) {
	here, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	for _, row := range []struct {
		environ string
		field   string
		want    any
	}{
		// the defaults
		{"", "Server.Listen", schema.Strings{":8080"}},
		{"", "Server.Timeouts.Read", "30s"},
		{"", "Server.Timeouts.Header", "30s"},
		{"", "Server.Timeouts.Idle", "30s"},
		{"", "Server.Timeouts.Write", "30s"},
		{"", "Server.Drain.Delay", "30s"},
		{"", "Server.Drain.Timeout", "30s"},
		{"", "Server.Drain.Status", 0},
		{"", "Server.Errors", "openfaas"},
		{"", "Server.TrustedProxies", "[0.0.0.0/0 ::/0]"},
		{"", "Server.MaxHeader", "1MiB"},
		{"", "Metrics.Listen", ":8081"},
		{"", "Metrics.Optional", true},
		{"", "Metrics.RouteLabel", false},
		{"", "Admin.Optional", true},
		{"", "Log.Format", "classic"},
		{"", "Log.Access", true},
		{"", "Log.Prefix", true},
		{"", "Log.Line", "64KiB"},
		{"", "Log.CallID", false},
		{"", "Health.LockFile", "/tmp/.lock"},
		{"", "Health.Ready", "limit"},
		{"", "Health.Live", "lock"},
		{"suppress_lock=true", "Health.Live", "lock"},
		{"", "Name", "function"},
		{"", "Route.Name", "function"},
		{"", "Route.Path", "/"},
		{"", "Route.StripPrefix", false},
		{"", "Route.Mode", schema.Streaming},
		{"", "Route.Methods", schema.Strings(nil)},
		{"", "Route.ContentType", "application/octet-stream"},
		{"", "Route.Timeouts.Exec", "30s"},
		{"", "Route.Limits.Inflight", 0},
		{"", "Route.Limits.Queue", 0},
		{"", "Route.Environ", "openfaas"},
		{"", "Route.Stderr", "log"},
		{"", "Route.Stop.Grace", "500ms"},
		{"", "Route.Dir", here},

		// the command
		{"fprocess=a b", "Route.FProcess", []string{"a", "b"}},
		{"fprocess=a  b ", "Route.FProcess", []string{"a", "", "b", ""}},
		{"fprocess=a 'b c' $x ${PORT} $$", "Route.FProcess", []string{"a", "'b", "c'", "$x", "${PORT}", "$$"}},
		{"fprocess=a\tb\nc", "Route.FProcess", []string{"a\tb\nc"}},
		{"function_process=x y|fprocess=cat", "Route.FProcess", []string{"x", "y"}},
		{"mode=classic|function_process=x y|fprocess=cat", "Route.FProcess", []string{"cat"}},

		// modes
		{"mode=serializing", "Route.Mode", schema.Serializing},
		{"mode=", "Route.Mode", schema.Streaming},
		{"mode=http|http_upstream_url=http://127.0.0.1:3000", "Route.Upstream", "http://127.0.0.1:3000"},
		{"mode=http|http_upstream_url=http://a:1/b|upstream_url=http://c:2", "Route.Upstream", "http://a:1/b"},
		{"mode=http|upstream_url=127.0.0.1:5000", "Route.Upstream", "127.0.0.1:5000"},
		{"mode=http|upstream_url=localhost:3000", "Route.Ready.TCP", "${PORT}"},
		{"mode=http|upstream_url=http://a:1/$x", "Route.Upstream", "http://a:1/$$x"},
		{"mode=http|upstream_url=http://a:${PORT}/$x", "Route.Upstream", "http://a:${PORT}/$$x"},
		{"mode=http|upstream_url=a:1|http_buffer_req_body=true", "Route.BufferBody", true},
		{"mode=http|upstream_url=a:1|buffer_http=1", "Route.BufferBody", true},
		{"mode=http|upstream_url=a:1|buffer_http=true|http_buffer_req_body=false", "Route.BufferBody", true},
		{"mode=http|upstream_url=a:1|buffer_http=TRUE", "Route.BufferBody", false},
		{"mode=http|upstream_url=a:1", "Route.Timeouts.Queue", "30s"},
		{"mode=http|upstream_url=a:1|exec_timeout=5", "Route.Timeouts.Queue", "5s"},
		{"mode=http|upstream_url=a:1", "Route.Restart.Then", "exit"},
		{"mode=http|upstream_url=a:1", "Route.Restart.GiveUp.Exits", 1},
		{"mode=http|upstream_url=a:1|restart=always", "Route.Restart.Then", "degrade"},
		{"mode=http|upstream_url=a:1|restart=on-failure", "Route.Restart.Policy", "on-failure"},
		{"mode=http|upstream_url=a:1|restart=maybe", "Route.Restart.Then", "exit"},
		{"mode=http|upstream_url=http://127.0.0.1:${PORT}|replicas=3", "Route.Replicas.Max", 3},
		{"mode=http|upstream_url=http://127.0.0.1:${PORT}|replicas=3", "Route.Upstream", "http://127.0.0.1:${PORT}"},
		{"mode=http|upstream_url=a:1", "Route.Timeouts.Start", "0"},
		{"mode=afterburn", "Route.Mode", schema.Afterburn},
		{"mode=afterburn", "Route.Timeouts.Queue", "0"},
		{"mode=afterburn|replicas=4", "Route.Replicas.Min", 4},
		{"mode=static|static_path=/tmp/x/../y/", "Route.Root", "/tmp/y"},
		{"mode=static", "Route.Root", "/home/app/public"},
		{"mode=static|static_path=public", "Route.Root", filepath.Join(here, "public")},
		{"mode=static", "Log.Access", false},
		{"mode=static", "Route.Timeouts.Exec", "0"},
		{"mode=static", "Route.FProcess", []string(nil)},

		// durations
		{"exec_timeout=10", "Route.Timeouts.Exec", "10s"},
		{"exec_timeout=+7", "Route.Timeouts.Exec", "7s"},
		{"exec_timeout=0", "Route.Timeouts.Exec", "0"},
		{"exec_timeout=1m30s", "Route.Timeouts.Exec", "1m30s"},
		{"exec_timeout=1.5s", "Route.Timeouts.Exec", "1.5s"},
		{"exec_timeout=-5s", "Route.Timeouts.Exec", "0"},
		{"exec_timeout=-5", "Route.Timeouts.Exec", "30s"},
		{"exec_timeout=abc", "Route.Timeouts.Exec", "30s"},
		{"exec_timeout=10 s", "Route.Timeouts.Exec", "30s"},
		{"exec_timeout= 5", "Route.Timeouts.Exec", "30s"},
		{"exec_timeout=", "Route.Timeouts.Exec", "30s"},
		{"exec_timeout=99999999999", "Route.Timeouts.Exec", "30s"},
		{"read_timeout=5", "Server.Timeouts.Read", "5s"},
		{"read_timeout=5", "Server.Timeouts.Idle", "5s"},
		{"read_timeout=0", "Server.Timeouts.Header", "0"},
		{"write_timeout=7s", "Server.Timeouts.Write", "7s"},
		{"write_timeout=7s", "Server.Drain.Timeout", "7s"},
		{"write_timeout=7s", "Server.Drain.Delay", "7s"},
		{"write_timeout=-7s", "Server.Timeouts.Write", "0"},
		{"write_timeout=-7s", "Server.Drain.Delay", "0"},
		{"write_timeout=7|healthcheck_interval=2", "Server.Drain.Delay", "2s"},
		{"healthcheck_interval=0", "Server.Drain.Delay", "0"},
		{"healthcheck_interval=-1s", "Server.Drain.Delay", "0"},
		{"healthcheck_interval=x", "Server.Drain.Delay", "30s"},

		// the rest
		{"port=9000", "Server.Listen", schema.Strings{":9000"}},
		{"port=0", "Server.Listen", schema.Strings{":0"}},
		{"port=8081", "Server.Listen", schema.Strings{":8081"}},
		{"port=8081", "Metrics.Listen", ""},
		{"port=8081|metrics_port=9001", "Metrics.Listen", ":9001"},
		{"metrics_port=8080", "Metrics.Listen", ""},
		{"metrics_port=0", "Metrics.Listen", ""},
		{"metrics_port=x", "Metrics.Listen", ":8081"},
		{"content_type=text/html", "Route.ContentType", "text/html"},
		{"content_type=", "Route.ContentType", ""},
		{"content_type=a$b", "Route.ContentType", "a$b"},
		{"suppress_lock=true", "Health.LockFile", ""},
		{"suppress_lock=1", "Health.LockFile", ""},
		{"suppress_lock=yes", "Health.LockFile", "/tmp/.lock"},
		{"TMPDIR=/var/tmp/", "Health.LockFile", "/var/tmp/.lock"},
		{"TMPDIR=x", "Health.LockFile", filepath.Join(here, "x/.lock")},
		{"max_inflight=5", "Route.Limits.Inflight", 5},
		{"max_inflight=-5", "Route.Limits.Inflight", 0},
		{"max_inflight=", "Route.Limits.Inflight", 0},
		{"max_inflight=5|queue=3", "Route.Limits.Queue", 3},
		{"max_inflight=5|queue=-1", "Route.Limits.Queue", 50},
		{"queue=emails", "Route.Limits.Queue", 0},
		{"prefix_logs=false", "Log.Prefix", false},
		{"prefix_logs=F", "Log.Prefix", false},
		{"prefix_logs=no", "Log.Prefix", true},
		{"prefix_logs=", "Log.Prefix", true},
		{"log_callid=1", "Log.CallID", true},
		{"log_callid=TRUE", "Log.CallID", true},
		{"log_call_id=true", "Log.CallID", true},
		{"log_callid=yes", "Log.CallID", false},
		{"log_buffer_size=100", "Log.Line", "100"},
		{"log_buffer_size=-1", "Log.Line", "0"},
		{"log_buffer_size=0", "Log.Line", "64KiB"},
		{"ready_path=/ready?x=1", "Health.ReadyPath", "/ready?x=1"},
		{"ready_path=ready", "Health.ReadyPath", "/ready"},
		{"ready_path=", "Health.ReadyPath", ""},
		{"warm=3", "Route.Warm", 3},
		{"form=json", "Route.Form", "json"},
		{"form=pdf", "Route.Form", ""},
		{"response=cgi", "Route.Response", "cgi"},
		{"environ=cgi", "Route.Environ", "cgi"},
		{"OPENFAAS_NAME=My_Function", "Route.Name", "my-function"},
		{"OPENFAAS_NAME=env", "Name", "env"},

		// the classic watchdog
		{"mode=classic", "Route.Mode", schema.Serializing},
		{"mode=classic", "Server.Errors", "classic"},
		{"mode=classic", "Route.Methods", schema.Strings{"DELETE", "GET", "PATCH", "POST", "PUT"}},
		{"mode=classic", "Route.Timeouts.Exec", "0"},
		{"mode=classic|exec_timeout=3", "Route.Timeouts.Exec", "3s"},
		{"mode=classic", "Route.ContentType", "auto"},
		{"mode=classic|content_type=", "Route.ContentType", "auto"},
		{"mode=classic|content_type=a/b", "Route.ContentType", "a/b"},
		{"mode=classic", "Route.Environ", "classic"},
		{"mode=classic|cgi_headers=false", "Route.Environ", "none"},
		{"mode=classic|cgi_headers=1", "Route.Environ", "none"},
		{"mode=classic|cgi_headers=", "Route.Environ", "classic"},
		{"mode=classic", "Route.Stderr", "body"},
		{"mode=classic|combine_output=false", "Route.Stderr", "log"},
		{"mode=classic|combine_output=true", "Route.Stderr", "body"},
		{"mode=classic", "Route.Request", "raw"},
		{"mode=classic|marshal_request=true", "Route.Request", "json"},
		{"mode=classic|marshal_request=1", "Route.Request", "raw"},
		{"mode=classic|marshal_request=true|form=json", "Route.Form", ""},
		{"mode=classic|write_debug=true", "Log.Output", true},
		{"mode=classic|debug_headers=true", "Log.Headers", true},
		{"mode=classic", "Log.Output", false},
		{"mode=classic", "Health.Ready", "none"},
		{"mode=classic|ready_path=/x", "Health.ReadyPath", ""},
		{"mode=classic|suppress_lock=1", "Health.LockFile", "/tmp/.lock"},
		{"mode=classic|suppress_lock=true", "Health.LockFile", ""},
		{"mode=classic|port=-1", "Server.Listen", schema.Strings{":8080"}},
		{"mode=classic|port=", "Server.Listen", schema.Strings{":8080"}},
		{"mode=classic|write_timeout=0", "Server.Timeouts.Write", "0"},
		{"mode=classic|write_timeout=0", "Server.Drain.Delay", "0"},
		{"mode=classic|write_timeout=0", "Server.Drain.Timeout", "30s"},
		{"mode=classic|max_inflight=4", "Route.Limits.Inflight", 4},
		{"mode=classic|prefix_logs=false", "Log.Prefix", true},
		{"mode=classic|form=files", "Route.Form", "files"},
		{"mode=classic|upstream_url=http://x:1", "Route.Upstream", ""},
	} {
		var environ []string
		if row.environ != "" {
			environ = strings.Split(row.environ, "|")
		}
		if !strings.Contains("|"+row.environ, "|fprocess=") {
			environ = append(environ, "fprocess=cat")
		}
		c, r, _ := fromEnv(t, environ...)
		v := reflect.ValueOf(*c)
		path := strings.Split(row.field, ".")
		if path[0] == "Route" {
			v, path = reflect.ValueOf(*r), path[1:]
		}
		for _, name := range path {
			v = v.FieldByName(name)
		}
		var is any = v.Interface()
		switch value := is.(type) {
		case schema.Command:
			var words []string
			for _, w := range value.Words {
				words = append(words, w.Expand(schema.Vars{Port: 1, Number: 2, Name: "n"}))
			}
			is = words
		case fmt.Stringer:
			is = value.String()
		case schema.Text:
			is = string(value)
		default:
			if _, text := row.want.(string); text && v.Kind() == reflect.Slice {
				is = fmt.Sprint(is)
			}
		}
		if !reflect.DeepEqual(is, row.want) {
			t.Errorf("%s: %s is %#v and not %#v", row.environ, row.field, is, row.want)
		}
		fromEnvAgain(t, c)
	}
}

// nothing is an empty environment.
func nothing(string) (string, bool) { return "", false }

// fromEnvAgain holds that Parse of Marshal is the same.
func fromEnvAgain(t testing.TB, c *schema.Config) {
	t.Helper()
	out, err := c.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	d, err := schema.Parse("/srv/watchdog.yaml", out, nothing)
	if err != nil {
		t.Fatalf("got %v\n%s\nwant no error", err, out)
	}
	d.File, d.Files = "", nil // the environment is no file
	if !reflect.DeepEqual(c, d) {
		t.Fatalf("Parse of Marshal differs:\n%s\nwas  %+v\nis   %+v", out, *c, *d)
	}
}

func TestUnusableVariablesAreErrorsWithNameAndValue(t *testing.T) {
	for environ, want := range map[string]string{
		"fprocess=":                      `no program to run: fprocess is not set or is empty; provide a "function_process" or "fprocess" environmental variable for your function`,
		"mode=streaming":                 `no program to run: fprocess is not set or is empty; provide a "function_process" or "fprocess" environmental variable for your function`,
		"function_process=|fprocess=cat": `no program to run: function_process is not set or is empty; provide a "function_process" or "fprocess" environmental variable for your function`,
		"fprocess= cat":                  `fprocess=" cat" starts with a space, which leaves the program name empty`,
		"mode=classic":                   `no program to run: fprocess is not set or is empty; provide a "function_process" or "fprocess" environmental variable for your function`,
		"fprocess=cat|mode=HTTP":         `mode="HTTP" is not a mode; write http, streaming, serializing, afterburn, static or classic`,
		"mode=inproc":                    `mode="inproc" is for Go programs that use of-watchdog as a library`,
		"fprocess=cat|mode=http":         `for "mode=http" you must specify a valid URL for "http_upstream_url"`,
		"fprocess=cat|mode=http|http_upstream_url=|upstream_url=http://a:1": `for "mode=http" you must specify a valid URL for "http_upstream_url"`,
		"fprocess=cat|mode=http|upstream_url=https://a":                     `upstream_url="https://a" is not a valid upstream: https is not supported`,
		"fprocess=cat|mode=http|upstream_url=a:1|replicas=2":                `replicas="2" cannot all listen on a:1`,
		"fprocess=cat|port=abc":                                             `port="abc" is not a number`,
		"fprocess=cat|port=99999":                                           `port="99999" is not a valid port; write a number from 0 to 65535`,
		"fprocess=cat|port=-1":                                              `port="-1" is not a valid port`,
		"fprocess=cat|max_inflight=many":                                    `max_inflight="many" is not a number`,
		"fprocess=cat|log_buffer_size=x":                                    `log_buffer_size="x" is not a number`,
		"fprocess=cat|log_buffer_size=":                                     `log_buffer_size="" is not a number`,
		"fprocess=cat|write_timeout=0":                                      `write_timeout="0" must be longer than 0`,
		"fprocess=cat|write_timeout=0s":                                     `write_timeout="0s" must be longer than 0`,
		"fprocess=cat|mode=static|static_path=":                             `static_path is empty; set it to the folder to serve`,
		"fprocess=cat|jwt_auth=true":                                        `jwt_auth needs OPENFAAS_NAME and OPENFAAS_NAMESPACE`,
		"fprocess=cat\xff":                                                  `the value of fprocess is not valid UTF-8 text`,
		"mode=classic|fprocess=cat|port=x":                                  `port="x" is not a number`,
	} {
		_, _, err := FromEnv(strings.Split(environ, "|"), "watchdogd")
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s is told as %v", environ, err)
		}
	}
	_, _, err := FromEnv([]string{"mode=http", "port=x", "write_timeout=0"}, "watchdogd")
	if err == nil || strings.Count(err.Error(), "\n") != 3 {
		t.Errorf(`not all is told at once: got %v, want err != nil && strings.Count(err.Error(), "\n") == 3`, err)
	}
}

func TestVariablesWithoutEffectAreNoted(t *testing.T) {
	_, _, notes := fromEnv(t, "fprocess=cat", "mode=streaming", "exec_timeout=abc", "suppress_lock=yes", "prefix_logs=x", "port=8081", "write_debug=true",
		"read_timeout=", "queue=emails", "combined_output=x", "upstream_url=http://a:1", "PATH=/bin", "afterburn=true", "no pair", "=x=y", "exec_timeout=3")
	var lines []string
	for _, n := range notes.Notes {
		lines = append(lines, n.String())
	}
	want := []string{
		`afterburn="true" has no effect in this mode`,
		`combined_output="x" has no effect in this mode`,
		`exec_timeout="abc" is not a valid duration; using 30s`,
		`port="8081" is also the metrics port; metrics are not served: set metrics_port to another port`,
		`prefix_logs="x" is not a valid boolean; using true`,
		`queue="emails" has no effect; it is not a number from -1 to 2147483647`,
		`suppress_lock="yes" is treated as false; of-watchdog accepts only "true" and "1"`,
		`upstream_url="http://a:1" has no effect in this mode`,
		`write_debug="true" has no effect in this mode`,
	}
	if !slices.Equal(lines, want) {
		t.Errorf("noted is\n%s\nand not\n%s", strings.Join(lines, "\n"), strings.Join(want, "\n"))
	}
}

func TestJWTTokensComeFromTheGateway(t *testing.T) {
	_, r, _ := fromEnv(t, "fprocess=cat", "jwt_auth=1", "jwt_auth_local=true", "jwt_auth_debug=true", "OPENFAAS_NAME=a", "OPENFAAS_NAMESPACE=b")
	if want := (schema.OpenFaaSAuth{Gateway: "http://127.0.0.1:8000", Function: "b:a", Debug: true}); r.Auth.OpenFaaS == nil || *r.Auth.OpenFaaS != want {
		t.Errorf("it is %+v", r.Auth.OpenFaaS)
	}
}

func TestMigrateWritesNotesAsComments(t *testing.T) {
	out, err := Migrate([]string{"fprocess=node index.js", "mode=http", "upstream_url=127.0.0.1:3000", "exec_timeout=abc\ndef", "write_debug=true"}, "watchdogd")
	if err != nil {
		t.Fatal(err)
	}
	if want := "# Migrated from environment variables, read as of-watchdog: mode=http.\n# exec_timeout=\"abc\\ndef\" is not a valid duration; using 30s\n# write_debug=\"true\" has no effect in this mode\nname: function\n"; !strings.HasPrefix(string(out), want) {
		t.Errorf("it is\n%s", out)
	}
	if _, err := schema.Parse("watchdog.yaml", out, nothing); err != nil {
		t.Error(err)
	}
	if _, err := Migrate(nil, "watchdogd"); err == nil {
		t.Error("nothing is migrated")
	}
}

func TestRandomEnvironmentsSurviveMarshalAndParse(t *testing.T) {
	values := []string{"", "true", "false", "1", "0", "cat", "a b  c ", "abc", "10", "-5", "-5s", "1m30s", "1.5s", "http", "http://127.0.0.1:3000/x", "127.0.0.1:5000", "unix:a.sock", "/x", "x y", "a$b${PORT}$$", "cgi", "json", "files", "always", "8081", "65536", "'\"\\ \n\t#: {[é\u2028", "null", "~", "http://127.0.0.1:${PORT}"}
	modes := []string{"", "streaming", "serializing", "http", "afterburn", "static", "classic"}
	names := append(slices.Clone(theirs), "metrics_port", "restart", "replicas", "queue", "warm", "response", "environ", "form", "TMPDIR", "OPENFAAS_NAME")
	read := 0
	for seed := range uint64(2000) {
		r := rand.New(rand.NewPCG(seed, 2))
		environ := []string{"fprocess=" + []string{"cat", "a b  c ", "a $x ${PORT} '\"\\ \n\t#é"}[r.IntN(3)], "mode=" + modes[r.IntN(len(modes))], "upstream_url=" + []string{"http://127.0.0.1:3000/$x", "a:1", "unix:s"}[r.IntN(3)]}
		for range r.IntN(8) {
			environ = append(environ, names[r.IntN(len(names))]+"="+values[r.IntN(len(values))])
		}
		c, _, err := FromEnv(environ, "watchdogd")
		if err != nil {
			continue
		}
		read++
		fromEnvAgain(t, c)
	}
	if read < 500 {
		t.Errorf("only %d of the environments are right, want at least 500", read)
	}
}

func FuzzFromEnv(f *testing.F) {
	f.Add("fprocess=cat\x00mode=http\x00upstream_url=a:1")
	f.Add("fprocess=a  b\x00mode=classic\x00content_type=$\x00TMPDIR=x")
	f.Fuzz(func(t *testing.T, environ string) {
		c, notes, err := FromEnv(strings.Split(environ, "\x00"), "watchdogd")
		for _, n := range notes.Notes {
			_ = n.String()
		}
		if err == nil {
			fromEnvAgain(t, c)
		}
	})
}

// Whoever moves an image finds each of its variables in the docs, and each of ours.
func TestDocsNameEveryVariable(t *testing.T) {
	page, err := os.ReadFile("../../docs/openfaas.md")
	if err != nil {
		t.Fatal(err)
	}
	ours := []string{"restart", "replicas", "queue", "warm", "response", "environ", "form", "metrics_port"}
	for _, name := range slices.Concat(theirs, ours, []string{"TMPDIR", "OPENFAAS_NAME", "OPENFAAS_NAMESPACE"}) {
		if !strings.Contains(string(page), "`"+name+"`") {
			t.Errorf("docs/openfaas.md does not name %s", name)
		}
	}
}
