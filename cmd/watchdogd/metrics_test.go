package main

import (
	"encoding/json"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
	"gopkg.in/yaml.v3"

	"github.com/watchdogd/watchdogd/internal/testkit"
)

// body returns what a URL answers.
func body(t *testing.T, url string) (int, http.Header, string) {
	t.Helper()
	response, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	defer http.DefaultClient.CloseIdleConnections()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response.StatusCode, response.Header, string(text)
}

// exposition starts a stack that has every kind of metric, and returns all of them as text.
func exposition(t *testing.T) string {
	t.Helper()
	metrics := freeAddress(t)
	d := serveFile(t, "gateway: {}\nmetrics: {listen: \""+metrics+"\"}\n"+oneServer+"  - {name: elsewhere, upstream: 127.0.0.1:9}\n")
	d.waitLog(`"msg":"listening"`)
	d.get("/function/app/x")
	_, _, text := body(t, "http://"+metrics+"/metrics")
	return text
}

// families returns the names of all families of metrics, with their types.
func families(t *testing.T) map[string]string {
	t.Helper()
	text := exposition(t)
	parser := expfmt.NewTextParser(model.LegacyValidation)
	parsed, err := parser.TextToMetricFamilies(strings.NewReader(text))
	if err != nil {
		t.Fatalf("got %v in\n%s\nwant no error", err, text)
	}
	all := map[string]string{}
	for line := range strings.Lines(text) { // a family without series is one too
		if fields := strings.Fields(line); len(fields) == 4 && fields[1] == "TYPE" {
			all[fields[2]] = fields[3]
		}
	}
	for name := range parsed {
		if all[name] == "" {
			t.Errorf("%s: got no type, want one", name)
		}
	}
	return all
}

func TestEveryMetricIsDocumentedAndExists(t *testing.T) {
	text, err := os.ReadFile("../../docs/metrics.md")
	if err != nil {
		t.Fatal(err)
	}
	documented := map[string]string{}
	for _, row := range regexp.MustCompile("(?m)^\\| `([a-z_]+)` \\| (counter|gauge|histogram|summary) \\| .*$").FindAllStringSubmatch(string(text), -1) {
		documented[row[1]] = row[2]
		if runtime.GOOS != "linux" && strings.Contains(row[0], "(Linux)") {
			delete(documented, row[1])
		}
	}
	all := families(t)
	for name, kind := range all {
		if documented[name] != kind {
			t.Errorf("docs/metrics.md on %s: got %q, want %s", name, documented[name], kind)
		}
	}
	for name := range documented {
		if all[name] == "" {
			t.Errorf("docs/metrics.md has %s: want a metric of that name", name)
		}
	}
}

// expressions returns the expressions of PromQL in a value from JSON or YAML: those of the key
// expr, and what label_values asks for.
func expressions(value any) (all []string) {
	switch v := value.(type) {
	case map[string]any:
		for key, inner := range v {
			text, isText := inner.(string)
			if isText && (key == "expr" || key == "query" && strings.HasPrefix(text, "label_values(")) {
				all = append(all, text)
			}
			all = append(all, expressions(inner)...)
		}
	case []any:
		for _, inner := range v {
			all = append(all, expressions(inner)...)
		}
	}
	return all
}

var (
	notMetrics = regexp.MustCompile(`\{[^}]*\}|\[[^]]*\]|"[^"]*"|\b(by|without) *\([^)]*\)|, *(instance|route)\)|\$[a-z_]+`)
	word       = regexp.MustCompile(`[a-z_][a-z0-9_]*\b(\s*\()?`)
)

// metricsIn returns the metrics that an expression names: words that are not functions.
func metricsIn(expression string) (names []string) {
	for _, w := range word.FindAllString(notMetrics.ReplaceAllString(expression, " "), -1) {
		if !strings.HasSuffix(w, "(") && !slices.Contains([]string{"and", "or", "unless", "on", "ignoring", "sum", "max", "min", "avg", "bool", "e"}, strings.TrimSpace(w)) {
			names = append(names, strings.TrimSpace(w))
		}
	}
	return names
}

func TestTheNamesOfAnExpressionAreFound(t *testing.T) {
	const expression = `histogram_quantile(0.99, sum by (le, route) (rate(a_bucket{route=~"$route"}[5m]))) / b_total > 5 and c == 1`
	if got, want := metricsIn(expression), []string{"a_bucket", "b_total", "c"}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestTheDashboardAndTheAlertsNameMetricsThatExist(t *testing.T) {
	all := families(t)
	all["up"] = "gauge" // Prometheus's own
	used := map[string]bool{}
	for file, decode := range map[string]func([]byte, any) error{"grafana.json": json.Unmarshal, "alerts.yml": yaml.Unmarshal} {
		text, err := os.ReadFile(filepath.Join("../../examples/06-gateway", file))
		if err != nil {
			t.Fatal(err)
		}
		var content any
		if err := decode(text, &content); err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		found := expressions(content)
		if len(found) < 9 {
			t.Errorf("%s: got %d expressions, want more", file, len(found))
		}
		for _, expression := range found {
			names := metricsIn(expression)
			if len(names) == 0 {
				t.Errorf("%s: %s names no metric, want one", file, expression)
			}
			for _, name := range names {
				family := name
				for _, suffix := range []string{"_bucket", "_sum", "_count"} {
					if base := strings.TrimSuffix(name, suffix); all[base] == "histogram" {
						family = base
					}
				}
				if all[family] == "" || all[family] == "histogram" && family == name {
					t.Errorf("%s: %s names %s, want a series that exists", file, expression, name)
				}
				used[family] = true
			}
		}
	}
	for name := range all {
		if (strings.HasPrefix(name, "watchdogd_") || strings.HasPrefix(name, "http_") || strings.HasPrefix(name, "gateway_")) && !used[name] {
			t.Errorf("neither the dashboard nor the alerts use %s", name)
		}
	}
}

func TestPrometheusTakesTheAlertsAndTheScrapeConfiguration(t *testing.T) {
	need(t, "promtool")
	for _, args := range [][]string{{"check", "rules", "alerts.yml"}, {"check", "config", "prometheus.yml"}} {
		cmd := exec.Command("promtool", args...)
		cmd.Dir = "../../examples/06-gateway"
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Errorf("promtool %s: got %v\n%s\nwant no error", strings.Join(args, " "), err, out)
		}
	}
}

// valueAt reads a JSON text as KEDA's valueLocation does: names with points between them.
func valueAt(t *testing.T, text, location string) any {
	t.Helper()
	var value any
	if err := json.Unmarshal([]byte(text), &value); err != nil {
		t.Fatalf("got %v in %s, want no error", err, text)
	}
	for name := range strings.SplitSeq(location, ".") {
		object, _ := value.(map[string]any)
		value = object[name]
	}
	return value
}

func TestStatsShowEachServerThatIsRunElsewhere(t *testing.T) {
	metrics, gone := freeAddress(t), freeAddress(t)
	there := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "ok") }))
	defer there.Close()
	here := there.Listener.Addr().String()
	d := serveFile(t, "server: {listen: \"LISTEN\"}\nmetrics: {listen: \""+metrics+"\"}\n"+
		"routes:\n  - {name: api, mode: http, upstream: [\"http://"+gone+"\", \"http://"+here+"\"]}\n")
	d.waitLog(`"msg":"listening"`)
	for n := range 4 {
		if status, _, text := body(t, d.base+"/api"); status != 200 || text != "ok" {
			t.Errorf("call %d: got %d %q, want it from the server that is there", n, status, text)
		}
	}
	_, _, text := body(t, "http://"+metrics+"/_/stats")
	var stats struct {
		Routes map[string]struct {
			State     string
			Endpoints []struct {
				Address, State, Reason string
				Failures               int
			}
		}
	}
	if err := json.Unmarshal([]byte(text), &stats); err != nil {
		t.Fatalf("got %v in %s, want no error", err, text)
	}
	states := map[string]string{}
	for _, e := range stats.Routes["api"].Endpoints {
		states[e.Address] = e.State
	}
	if len(states) != 2 || states[gone] != "left-out" || states[here] != "ready" || stats.Routes["api"].State != "ready" {
		t.Errorf("got %s, want %s left out and %s ready", text, gone, here)
	}
}

func TestStatsHaveTheNumbersThatAnAutoscalerReads(t *testing.T) {
	metrics := freeAddress(t)
	d := serveFile(t, "server: {listen: \"LISTEN\"}\nmetrics: {listen: \""+metrics+"\"}\n"+
		"routes:\n  - {name: slow-one, mode: streaming, fprocess: cat, limits: {inflight: 1, queue: 5}, timeouts: {queue: 1m, exec: 1m}}\n")
	d.waitLog(`"msg":"listening"`)
	stats := func() string {
		_, header, text := body(t, "http://"+metrics+"/_/stats")
		if got := header.Get("Content-Type"); got != "application/json" {
			t.Errorf("Content-Type: got %q, want application/json", got)
		}
		return text
	}
	var open []net.Conn
	for range 3 {
		conn, err := net.Dial("tcp", strings.TrimPrefix(d.base, "http://"))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(conn, "POST /slow-one HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\n\r\n"); err != nil {
			t.Fatal(err)
		}
		open = append(open, conn)
	}
	var text string
	testkit.Eventually(t, "three calls, two of which wait", func() bool {
		text = stats()
		return valueAt(t, text, "routes.slow-one.inflight") == 3.0 && valueAt(t, text, "routes.slow-one.queued") == 2.0
	})
	for location, want := range map[string]any{"routes.slow-one.limit": 1.0, "routes.slow-one.instances": 0.0, "routes.slow-one.total": 3.0, "routes.slow-one.state": "ready", "inflight": 3.0, "queued": 2.0} {
		if got := valueAt(t, text, location); got != want {
			t.Errorf("%s: got %v, want %v in %s", location, got, want, text)
		}
	}
	if rate, _ := valueAt(t, text, "routes.slow-one.rate").(float64); rate <= 0 {
		t.Errorf("rate: got %v, want more than 0", rate)
	}
	for _, c := range open {
		_ = c.Close()
	}
	testkit.Eventually(t, "no call", func() bool { return valueAt(t, stats(), "inflight") == 0.0 })
}

func TestProfilesAreOnTheAdminSocketOnly(t *testing.T) {
	metrics, admin := freeAddress(t), freeAddress(t)
	d := serveFile(t, "metrics: {listen: \""+metrics+"\"}\nadmin: {listen: \""+admin+"\"}\n"+oneServer)
	d.waitLog(`"msg":"listening"`)
	for base, want := range map[string]int{"http://" + admin: 200, "http://" + metrics: 404} {
		for _, path := range []string{"/debug/pprof/", "/debug/pprof/heap", "/debug/pprof/goroutine?debug=1", "/debug/pprof/profile?seconds=1"} {
			if status, _, text := body(t, base+path); status != want {
				t.Errorf("%s%s: got %d %.200s, want %d", base, path, status, text, want)
			}
		}
	}
	if status, _ := d.get("/debug/pprof/heap"); status != 404 {
		t.Errorf("the main listener: got %d, want 404", status)
	}
	for path, want := range map[string]int{"/debug/pprof/none": 404, "/debug/pprof/profile?seconds=0": 400, "/debug/pprof/profile?seconds=100000": 400} {
		if status, _, text := body(t, "http://"+admin+path); status != want || !strings.Contains(text, "error") {
			t.Errorf("%s: got %d %s, want %d and why", path, status, text, want)
		}
	}
}
