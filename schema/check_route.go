package schema

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"net/http"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/net/http/httpguts"

	"github.com/watchdogd/watchdogd/internal/phrase"
	"github.com/watchdogd/watchdogd/schema/internal/address"
	"github.com/watchdogd/watchdogd/schema/internal/decode"
)

func (l *loader) checkRoute(r *Route, it decode.Item, missing bool) {
	if r.Name == "" && !l.At(it, "name").Written {
		l.Missing(it, ": every route needs a name", "", "name")
	}
	l.checkMatching(r, it)
	l.checkAuth(r, it)
	if is := l.use(it); is != decode.Anywhere && l.Fine(l.At(it, "mode")) {
		l.checkMode(r, it, missing)
		l.checkProcess(&r.Process, it, is)
	}
}

// checkMatching checks which requests a route matches, and normalizes how they are written.
func (l *loader) checkMatching(r *Route, it decode.Item) {
	if at := l.At(it, "path"); at.Written && r.Path != "" {
		if err := address.CheckPath(r.Path, true); err != nil {
			l.Wrong(at, err.Error(), "")
		}
		if r.Path = strings.TrimRight(r.Path, "/"); r.Path == "" {
			r.Path = "/"
		}
	}
	if r.Host != "" {
		r.Host = strings.ToLower(r.Host)
		name := strings.TrimPrefix(r.Host, "*.")
		if err := address.CheckHost(name); err != nil {
			hint := "write a host name such as api.example.org, or *.example.org for all its subdomains"
			if strings.Contains(name, ":") {
				hint = "leave out the port, which server.listen sets"
			}
			l.Wrong(l.At(it, "host"), err.Error(), hint)
		}
	}
	methods := l.At(it, "methods")
	seen := make(map[string]bool, len(r.Methods))
	for i, m := range r.Methods {
		switch at := methods.Element(i); {
		case !httpguts.ValidHeaderFieldName(m):
			l.Wrong(at, phrase.Quote(m)+" is not a valid method", "")
		case strings.ToUpper(m) != m:
			l.Wrong(at, phrase.Quote(m)+" is not a valid method: methods are written in capitals", "write "+strings.ToUpper(m))
		case seen[m]:
			l.Wrong(at, m+" is listed twice", "")
		}
		seen[m] = true
	}
	if len(r.Headers) > 0 {
		r.Headers = l.checkHeaders(r.Headers, it)
	}
}

// checkHeaders returns headers with canonical names.
func (l *loader) checkHeaders(headers map[string]string, it decode.Item) map[string]string {
	canonical := make(map[string]string, len(headers))
	for _, name := range slices.Sorted(maps.Keys(headers)) {
		at := l.At(it, "headers", name)
		key := http.CanonicalHeaderKey(name)
		switch _, twice := canonical[key]; {
		case !httpguts.ValidHeaderFieldName(name):
			l.Wrong(at, phrase.Quote(name)+" is not a valid header name", "")
		case twice:
			l.Wrong(at, key+" is set twice: header names are not case-sensitive", "")
		case !httpguts.ValidHeaderFieldValue(headers[name]):
			l.Wrong(at, "not a valid header value", "")
		}
		canonical[key] = headers[name]
	}
	return canonical
}

// checkMode checks that a route has what its mode needs. With missing, a root need not be
// there yet.
func (l *loader) checkMode(r *Route, it decode.Item, missing bool) {
	process, needs := l.Inherits(it, "fprocess"), r.Mode.Traits()
	switch {
	case needs.Folder:
		l.checkRoot(r, it, missing)
	case process:
	case !needs.Elsewhere:
		l.Missing(it, fmt.Sprintf(": mode %s needs a command", r.Mode), "", "fprocess")
	case !l.Inherits(it, "upstream"):
		l.Missing(it, ": mode http needs the command that starts a server, or the upstream of one that runs elsewhere", "for a program that reads stdin, writes stdout and exits, use mode: streaming or serializing", "fprocess")
	}
	if needs.Listens && !r.Upstream.Empty() {
		l.checkUpstream(r, it, process)
	}
	if r.Forks() && r.Request == "json" && r.Form != "" {
		l.Wrong(l.At(it, "form"), "has no use with request: json, which already passes the whole request as one JSON object", "keep one of the two")
	}
}

func (l *loader) checkRoot(r *Route, it decode.Item, missing bool) {
	at := l.At(it, "root")
	if !at.Written {
		l.Missing(it, ": mode static needs a folder", "", "root")
		return
	}
	if !l.Fine(at) {
		return
	}
	if r.Root == "" {
		l.Wrong(at, "is empty: mode static needs a folder", "")
	} else if info, err := os.Stat(r.Root); errors.Is(err, fs.ErrNotExist) && missing {
		// It may be made later; until then every request is answered by 404.
	} else if err != nil {
		l.Wrong(at, fmt.Sprintf("cannot serve %s: %v", shown(at.Item.From, r.Root), cause(err)), "")
	} else if !info.IsDir() {
		l.Wrong(at, fmt.Sprintf("cannot serve %s: it is not a folder", shown(at.Item.From, r.Root)), "")
	} else {
		l.checkFallback(r, it)
	}
}

// checkFallback checks that the fallback is a file in the root.
func (l *loader) checkFallback(r *Route, it decode.Item) {
	at := l.At(it, "fallback")
	if !at.Written || !l.Fine(at) {
		return
	}
	hidden := strings.HasPrefix(r.Fallback, ".") || strings.Contains(r.Fallback, "/.")
	if !filepath.IsLocal(r.Fallback) || hidden || path.Clean(r.Fallback) != r.Fallback {
		l.Wrong(at, "must be the path of a file in root, without a leading slash, .. or a dot-file", "as in fallback: index.html")
		return
	}
	if info, err := os.Stat(filepath.Join(r.Root, filepath.FromSlash(r.Fallback))); err != nil {
		l.Wrong(at, fmt.Sprintf("cannot serve %s in root: %v", r.Fallback, cause(err)), "")
	} else if !info.Mode().IsRegular() {
		l.Wrong(at, fmt.Sprintf("cannot serve %s in root: it is not a file", r.Fallback), "")
	}
}

func (l *loader) checkUpstream(r *Route, it decode.Item, process bool) {
	at := l.At(it, "upstream")
	fixed := !r.Upstream.Varies()
	if !process && !fixed {
		l.Wrong(at, "${PORT} and ${INSTANCE} are not available: without fprocess the server runs elsewhere", "write its full address, or add fprocess with the command to run")
		return
	}
	if process && r.Upstream.next != nil {
		l.Wrong(at, "is a list: only servers that are run elsewhere can be several", "leave out fprocess, or write one upstream and replicas: for several instances")
		return
	}
	if !process {
		l.checkEndpointProbe(&r.Ready, it, "ready")
		l.checkEndpointProbe(&r.Live, it, "live")
	}
	if err := r.Upstream.checkLast(r.Replicas.Max - 1); err != nil {
		l.Wrong(at, err.Error(), "")
	}
	if fixed && process && r.Replicas.Max > 1 {
		l.Wrong(at, fmt.Sprintf("only one of %d replicas can listen on %s", r.Replicas.Max, r.Upstream), "write ${PORT} instead of the port, or leave out upstream: then each gets a port of its own as $PORT")
	}
}

// checkEndpointProbe checks what servers that are run elsewhere are asked: each at its own
// address. What defaults ask of processes is not for them.
func (l *loader) checkEndpointProbe(p *Probe, it decode.Item, key string) {
	at := l.At(it, key)
	switch asksEach := p.TCP == "${PORT}" || strings.HasPrefix(string(p.HTTP), "/"); {
	case p.Empty():
	case at.Item.Node != it.Node:
		if !asksEach {
			*p = Probe{}
		}
	case !asksEach:
		l.Wrong(at, "must ask each server at its own address, since they run elsewhere", "write tcp, or {http: /path}")
	}
}

// checkAlike refuses two routes that could both match the same call alike: those
// of one host, path and set of headers, with a method in common.
func (l *loader) checkAlike(c *Config) {
	type matching struct{ host, path, headers string }
	type taken struct {
		first    int            // the first route
		every    int            // the first that names no methods; -1 is none
		byMethod map[string]int // the first that names a method
	}
	groups := make(map[matching]*taken, len(c.Routes))
	for i := range c.Routes {
		r := &c.Routes[i]
		if r.Path == "" {
			continue
		}
		key := matching{r.Host, r.Path, headersKey(r.Headers)}
		t := groups[key]
		if t == nil {
			t = &taken{first: i, every: -1, byMethod: make(map[string]int)}
			groups[key] = t
		}
		other := t.every
		if len(r.Methods) == 0 {
			if other = t.first; other == i {
				other = -1
			}
			if t.every < 0 {
				t.every = i
			}
		}
		for _, m := range r.Methods {
			if j, ok := t.byMethod[m]; !ok {
				t.byMethod[m] = i
			} else if j != i && other < 0 {
				other = j
			}
		}
		// A route whose name is taken has been reported already.
		if other >= 0 && (r.Name == "" || c.Routes[other].Name != r.Name) {
			o := &c.Routes[other]
			l.Wrong(l.At(l.routes[i], "path"), fmt.Sprintf("the route %s on %s also answers %s %s, and neither takes precedence", phrase.Quote(o.Name), l.routes[other].Where(l.routes[i]), common(o.Methods, r.Methods), r.Path), "give one of them a different path, host, methods or headers")
		}
	}
}

// common names a method that both lists allow, where an empty one allows all.
func common(a, b Strings) string {
	if len(a) == 0 {
		a, b = b, a
	}
	for _, m := range a {
		if len(b) == 0 || slices.Contains(b, m) {
			return m
		}
	}
	return "every request to"
}

func headersKey(headers map[string]string) string {
	var b strings.Builder
	for _, name := range slices.Sorted(maps.Keys(headers)) {
		fmt.Fprintf(&b, "%s: %s\n", name, headers[name])
	}
	return b.String()
}
