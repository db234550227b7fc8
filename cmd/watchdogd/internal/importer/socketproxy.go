package importer

import (
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/watchdogd/watchdogd/cmd/watchdogd/internal/draft"
	"github.com/watchdogd/watchdogd/cmd/watchdogd/internal/guess"
)

// socketProxy is what a service unit starts that only forwards a socket of systemd to the
// server of another unit: systemd-socket-proxyd(8).
type socketProxy struct {
	to   string // host:port, or the path of a unix socket
	idle string // a duration as the file has it; empty is never
}

func readProxy(words []string) (proxy socketProxy, ok bool) {
	if len(words) < 2 || filepath.Base(words[0]) != "systemd-socket-proxyd" {
		return proxy, false
	}
	for _, w := range words[1:] {
		if !strings.HasPrefix(w, "-") {
			proxy.to = w
		}
		if value, found := strings.CutPrefix(w, "--exit-idle-time="); found {
			if d, ok := span(value); ok && d > 0 {
				proxy.idle = seconds(d.Seconds())
			}
		}
	}
	if !strings.HasPrefix(proxy.to, "/") {
		host, port, found := strings.Cut(proxy.to, ":")
		_, err := strconv.ParseUint(port, 10, 16)
		return proxy, found && err == nil && (host == "127.0.0.1" || host == "localhost")
	}
	return proxy, true
}

// unproxied replaces a proxy of file's socket by the server behind it, which the proxy's unit
// requires. It returns nil if p is not such a proxy, or if its server is not among the files.
func (b *builder) unproxied(p *program, file string, programs map[string]*program) *program {
	proxy, ok := readProxy(p.words)
	if !ok {
		return nil
	}
	n := slices.IndexFunc(p.needs, func(need draft.Key) bool { return programs[need.Name] != nil })
	if n < 0 {
		return nil
	}
	server := programs[p.needs[n].Name]
	b.programs = slices.DeleteFunc(b.programs, func(other *program) bool { return other == p })
	for _, other := range b.programs { // what needs the proxy needs the server
		for i := range other.needs {
			if other.needs[i].Name == p.name {
				other.needs[i].Name = server.name
			}
		}
	}
	server.needs = slices.DeleteFunc(server.needs, func(need draft.Key) bool { return need.Name == server.name })
	server.lost = slices.DeleteFunc(server.lost, func(l [2]string) bool { return l[0] == "[Unit] StopWhenUnneeded" }) // replicas.idle does that
	port := 0
	if strings.HasPrefix(proxy.to, "/") {
		server.set("upstream", "unix:"+proxy.to)
	} else {
		_, number, _ := strings.Cut(proxy.to, ":")
		port, _ = strconv.Atoi(number) // readProxy has read it
	}
	server.web = func() guess.Program {
		return guess.Program{HTTP: true, Port: port, Why: file + " listens for it"}
	}
	replicas := draft.Ordered{{Name: "min", Value: 0}, {Name: "max", Value: 1}}
	if proxy.idle != "" {
		replicas = replicas.With("idle", proxy.idle)
	}
	server.set("replicas", replicas)
	server.notes = append(server.notes, "replicas: the first request starts it, as the socket did; systemd-socket-proxyd is not needed.")
	return server
}
