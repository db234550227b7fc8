package schema

import (
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"

	"gopkg.in/yaml.v3"

	"github.com/watchdogd/watchdogd/internal/phrase"
	"github.com/watchdogd/watchdogd/schema/internal/decode"
)

// unknownKey is what is said of an unknown key.
const unknownKey = "unknown key"

// unknown returns what to say of an unknown key: the one that was probably meant.
func (l *loader) unknown(key string, value *yaml.Node, p *decode.Plan) (message, hint string) {
	if len(l.Steps) == 1 {
		l.incomplete = true
	}
	if l.Own() && l.Is&inService != 0 {
		if f := l.Plan(reflect.TypeFor[Route]()).Field(key); f != nil {
			return l.misplaced(f)
		}
	}
	hint = l.portHint(key, value)
	if hint == "" {
		hint = l.meant(key, p)
	}
	return unknownKey, hint
}

// portHint is what to write in the place of a port in a route or service, as files of
// other programs have it.
func (l *loader) portHint(key string, value *yaml.Node) string {
	word := strings.ToLower(strings.NewReplacer("-", "_", " ", "_").Replace(key))
	if !l.Own() || !slices.Contains([]string{"port", "ports", "listen", "container_port", "target_port", "http_port"}, word) {
		return ""
	}
	if value.Kind == yaml.SequenceNode && len(value.Content) > 0 {
		value = decode.Dealias(value.Content[0])
	}
	port := value.Value[strings.LastIndexByte(value.Value, ':')+1:]
	if port == "" || strings.Trim(port, "0123456789") != "" {
		port = "3000"
	}
	switch {
	case l.Is&inService != 0:
		return fmt.Sprintf("a service gets no port: pass it to the program under fprocess or env, and write ready: {tcp: 127.0.0.1:%s} to wait for it", port)
	case l.Is&inListens != 0:
		return fmt.Sprintf("write upstream: http://127.0.0.1:%s if the program always listens there; leave it out if the program listens on $PORT", port)
	}
	return ""
}

// misplaced returns why a key is not allowed where it is.
func (l *loader) misplaced(f *decode.Field) (message, hint string) {
	if l.Is&inService != 0 {
		return "is not allowed in a service", "only routes have this key"
	}
	modes, mode := modesOf(f.In), modesOf(l.Is)[0]
	traits := Mode(mode).Traits()
	switch {
	case len(modes) > 0:
		return fmt.Sprintf("is not allowed in mode %s", mode), "it belongs to mode " + phrase.Either(modes)
	case traits.Process && l.Is&inProcess == 0:
		return "is not allowed without fprocess: the server runs elsewhere", "remove it, or add fprocess with the command to run"
	case f.In == inProcess:
		return fmt.Sprintf("is not allowed in mode %s, which starts no process", mode), "remove it"
	case traits.Forks:
		return fmt.Sprintf("is not allowed in mode %s, which starts a process for each request", mode), "it applies only to processes that keep running: mode http or afterburn, and services"
	}
	return fmt.Sprintf("is not allowed in mode %s", mode), "it applies only to processes that keep running: mode http or afterburn, and services"
}

// meant returns what to write instead of an unknown key. p is the mapping that it is in.
func (l *loader) meant(key string, p *decode.Plan) string {
	keys := p.Keys(l.Is)
	word := strings.ToLower(key)
	if slices.Contains(keys, word) {
		return "keys are in lower case: " + word
	}
	if under := strings.NewReplacer("-", "_", " ", "_").Replace(word); slices.Contains(keys, under) {
		return "write " + under
	}
	for _, path := range strings.Fields(habits[strings.ReplaceAll(word, "-", "_")]) {
		if first, rest, nested := strings.Cut(path, "."); slices.Contains(keys, first) {
			if nested {
				return fmt.Sprintf("write %s: {%s: ...}", first, rest)
			}
			return "write " + path
		}
	}
	if path := elsewhere(word, l.Decoder.Keys()); path != "" {
		return path
	}
	if near := phrase.Nearest(word, keys); near != "" {
		return "did you mean " + near + "?"
	}
	if near := phrase.Nearest(strings.ReplaceAll(word, "-", "_"), slices.Sorted(maps.Keys(habits))); near != "" {
		for _, path := range strings.Fields(habits[near]) {
			if slices.Contains(keys, path) {
				return "write " + path
			}
		}
	}
	if len(keys) <= 8 {
		return "allowed here: " + strings.Join(keys, ", ")
	}
	return ""
}

// habits are the words of other programs for our keys; of several, the first
// that is allowed in that place is meant.
var habits = map[string]string{
	// compose files, supervisors, Procfiles
	"args":              "fprocess",
	"cmd":               "fprocess",
	"command":           "fprocess",
	"run":               "fprocess",
	"program":           "fprocess",
	"process":           "fprocess",
	"entrypoint":        "fprocess",
	"environment":       "env",
	"envs":              "env",
	"cwd":               "dir",
	"directory":         "dir",
	"workdir":           "dir",
	"working_dir":       "dir",
	"working_directory": "dir",
	"scale":             "replicas",
	"instances":         "replicas",
	"numprocs":          "replicas",
	"autorestart":       "restart",
	"healthcheck":       "live",
	"liveness":          "live",
	"liveness_probe":    "live",
	"readiness":         "ready",
	"readiness_probe":   "ready",
	"ulimits":           "rlimits",
	"links":             "depends_on",
	"needs":             "depends_on",
	"requires":          "depends_on",
	"after":             "depends_on",
	"stop_signal":       "stop.signal",
	"stopsignal":        "stop.signal",
	"stop_grace_period": "stop.grace",
	"stopwaitsecs":      "stop.grace",
	"kill_timeout":      "stop.grace",
	// proxies
	"prefix":      "path",
	"location":    "path",
	"url":         "upstream",
	"target":      "upstream",
	"backend":     "upstream",
	"proxy_pass":  "upstream",
	"method":      "methods",
	"header":      "headers",
	"hosts":       "host",
	"hostname":    "host",
	"type":        "mode",
	"timeout":     "timeouts.exec",
	"concurrency": "limits.inflight",
	"rate_limit":  "limits.rate",
	"rate":        "limits.rate",
	"max_body":    "limits.body",
	"gzip":        "compress",
	"compression": "compress",
	"static":      "root",
	"directory_":  "root",
	"functions":   "routes",
	"apps":        "routes",
	"processes":   "services",
	"port":        "listen server.listen",
	"bind":        "listen server.listen",
	"address":     "listen server.listen",
	"listen":      "server.listen",
	"tls":         "server.tls",
	"logging":     "log",
	"certificate": "cert",
	"private_key": "key",
	"attempts":    "failures",
	"retries":     "failures",
	"period":      "interval",
	// the OpenFaaS watchdogs
	"function_process":     "fprocess",
	"upstream_url":         "upstream",
	"http_upstream_url":    "upstream",
	"http_buffer_req_body": "buffer_body",
	"buffer_http":          "buffer_body",
	"static_path":          "root",
	"exec_timeout":         "timeouts.exec",
	"read_timeout":         "timeouts.read",
	"max_inflight":         "limits.inflight",
}

// elsewhere finds a key that exists, but under or above the mapping at the path here, in
// which it was written.
func elsewhere(key, here string) string {
	var below, above []string
	for _, path := range keysOf(reflect.TypeFor[document]()) {
		parent, last := "", path
		if i := strings.LastIndexByte(path, '.'); i >= 0 {
			parent, last = path[:i], path[i+1:]
		}
		if last != key || parent == here {
			continue
		}
		switch {
		case here == "" && parent != "", strings.HasPrefix(parent, here+"."):
			below = append(below, parent)
		case parent == "" || strings.HasPrefix(here, parent+"."):
			above = append(above, parent)
		}
	}
	switch {
	case len(above) > 0 && above[0] == "":
		return "it belongs at the top of the file, not under another key"
	case len(above) > 0:
		return "it is a key of " + above[0] + ": is it indented too far?"
	case len(below) > 0:
		parents := make([]string, 0, 3)
		for _, b := range below {
			b = strings.TrimPrefix(strings.TrimPrefix(b, here), ".")
			if first, _, _ := strings.Cut(b, "."); first == "defaults" && len(below) > 1 {
				continue
			}
			parents = append(parents, b)
		}
		slices.SortStableFunc(parents, func(a, b string) int { return strings.Count(a, ".") - strings.Count(b, ".") })
		if len(parents) > 3 {
			parents = parents[:3]
		}
		if parents[0] == "routes" || parents[0] == "services" {
			return "it is a key of a route or service: is it indented far enough?"
		}
		return "it is a key of " + phrase.Either(parents) + ": is it indented far enough?"
	}
	return ""
}

// Keys returns the path of every key that can be written, as in routes.timeouts.exec,
// in the order of config.go. The keys of defaults are those of routes and services,
// and are not repeated.
func Keys() []string {
	return slices.DeleteFunc(keysOf(reflect.TypeFor[document]()), func(key string) bool { return strings.HasPrefix(key, "defaults.") })
}

func keysOf(t reflect.Type) []string {
	var keys []string
	for f := range decode.Fields(t) {
		keys = append(keys, f.Key)
		inner := f.Type
		for inner.Kind() == reflect.Pointer || inner.Kind() == reflect.Slice {
			inner = inner.Elem()
		}
		if inner.Kind() != reflect.Struct {
			continue
		}
		for _, k := range keysOf(inner) {
			keys = append(keys, f.Key+"."+k)
		}
	}
	return keys
}
