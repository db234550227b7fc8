package listing

import (
	"cmp"
	"io"
	"net"
	"strings"

	"github.com/watchdogd/watchdogd/cmd/watchdogd/internal/terminal"
	"github.com/watchdogd/watchdogd/schema"
)

// Served prints what a configuration serves: each route with its mode, state and full URL,
// then the services. listen are the addresses that are listened on, state returns the state
// of a name.
func Served(w io.Writer, screen terminal.Screen, cfg *schema.Config, listen []string, state func(name string) string) error {
	rows := [][]string{{"NAME", "MODE", "STATE", "URL"}}
	for i := range cfg.Routes {
		r := &cfg.Routes[i]
		rows = append(rows, []string{r.Name, string(r.Mode), state(r.Name), URL(cfg, listen, r)})
	}
	for i := range cfg.Services {
		name := cfg.Services[i].Name
		rows = append(rows, []string{name, "service", state(name), "-"})
	}
	return terminal.Table(w, screen, rows, ToneOfStates(rows))
}

// ToneOfStates is the tone of each cell of rows of name, mode, state and URL.
func ToneOfStates(rows [][]string) func(row, column int) terminal.Tone {
	return func(row, column int) terminal.Tone {
		switch {
		case row == 0:
			return terminal.Normal
		case column == 0 || column == 3:
			return terminal.Bold
		case column == 2:
			return toneOf(rows[row][column])
		}
		return terminal.Normal
	}
}

// toneOf is how well a state is.
func toneOf(state string) terminal.Tone {
	switch word, _, _ := strings.Cut(state, " "); word {
	case "ready", "idle":
		return terminal.Good
	case "starting", "waiting", "stopping", "stopped", "exited":
		return terminal.Faint
	case "crash-loop":
		return terminal.Bad
	}
	return terminal.Warn
}

// Curl is what curl is given to call a route at the first of the addresses.
func Curl(cfg *schema.Config, listen []string, r *schema.Route) string {
	if len(listen) > 0 {
		if path, ok := strings.CutPrefix(listen[0], "unix:"); ok {
			return "--unix-socket " + path + " http://" + cmp.Or(r.Host, "localhost") + r.Path
		}
	}
	return URL(cfg, listen, r)
}

// URL is where a client on this machine reaches a route, at the first of the addresses.
func URL(cfg *schema.Config, listen []string, r *schema.Route) string {
	if len(listen) == 0 {
		return r.Path
	}
	if strings.HasPrefix(listen[0], "unix:") {
		return listen[0] + " " + r.Path
	}
	scheme, port := "http", "80"
	if cfg.Server.TLS.Cert != "" {
		scheme, port = "https", "443"
	}
	host, on, err := net.SplitHostPort(listen[0])
	if err != nil {
		return r.Path
	}
	if ip := net.ParseIP(host); host == "" || ip != nil && (ip.IsUnspecified() || ip.IsLoopback()) {
		host = "localhost"
	}
	host = cmp.Or(r.Host, host)
	switch {
	case on != port:
		host = net.JoinHostPort(host, on)
	case strings.Contains(host, ":"):
		host = "[" + host + "]"
	}
	return scheme + "://" + host + r.Path
}
