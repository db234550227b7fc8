package modes

import (
	"html"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/watchdogd/watchdogd/internal/failure"
)

// wantsPage reports whether a client is a browser that shows what it gets: one that names
// text/html, and prefers it to JSON (RFC 9110, 12.5.1). Accept: */* is not one.
func wantsPage(h http.Header) bool {
	page, json := 0.0, 0.0
	for _, value := range h["Accept"] {
		for item := range strings.SplitSeq(value, ",") {
			kind, parameters, _ := strings.Cut(item, ";")
			switch strings.ToLower(strings.TrimSpace(kind)) {
			case "text/html":
				page = max(page, quality(parameters))
			case "application/json", "application/problem+json":
				json = max(json, quality(parameters))
			}
		}
	}
	return page > json
}

// quality is the q among parameters; one that cannot be read is 0.
func quality(parameters string) float64 {
	for parameter := range strings.SplitSeq(parameters, ";") {
		name, value, _ := strings.Cut(parameter, "=")
		if strings.EqualFold(strings.TrimSpace(name), "q") {
			q, err := strconv.ParseFloat(strings.TrimSpace(value), 64)
			if err != nil || !(q >= 0 && q <= 1) {
				return 0
			}
			return q
		}
	}
	return 1
}

// pageOf is a problem as a page that needs nothing else, and says no more than it. One that
// is over soon is loaded again after wait seconds.
func pageOf(p *problem, wait string) []byte {
	var b strings.Builder
	b.WriteString("<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n<meta name=\"viewport\" content=\"width=device-width\">\n")
	if wait != "" {
		b.WriteString("<meta http-equiv=\"refresh\" content=\"" + wait + "\">\n")
	}
	title := strconv.Itoa(p.Status) + " " + html.EscapeString(p.Title)
	b.WriteString("<title>" + title + "</title>\n<style>" + pageStyle + "</style>\n</head>\n<body>\n<main>\n<h1>" + title + "</h1>\n")
	if p.Detail != "" {
		b.WriteString("<p>" + html.EscapeString(p.Detail) + "</p>\n")
	}
	b.WriteString("<dl>\n")
	at := func(t time.Time) string {
		if t.IsZero() {
			return ""
		}
		return t.Format("2006-01-02 15:04:05 MST")
	}
	for _, fact := range [][2]string{
		{"route", p.Route}, {"state", p.State}, {"last exit", p.LastExit}, {"last exit at", at(p.LastExitAt)},
		{"next start", at(p.NextStart)}, {"timeout", p.Timeout},
	} {
		if fact[1] != "" {
			b.WriteString("<dt>" + fact[0] + "</dt><dd>" + html.EscapeString(fact[1]) + "</dd>\n")
		}
	}
	b.WriteString("</dl>\n")
	if wait != "" {
		b.WriteString("<p class=\"soon\">This page loads itself again.</p>\n")
	}
	b.WriteString("<footer><a href=\"" + html.EscapeString(p.Type) + "\">What this means</a></footer>\n</main>\n</body>\n</html>\n")
	return []byte(b.String())
}

const pageStyle = `:root{color-scheme:light dark}body{font:16px/1.5 system-ui,sans-serif;margin:12vh auto;max-width:40em;padding:0 1em}` +
	`h1{font-size:1.4em}p{overflow-wrap:anywhere}dl{display:grid;grid-template-columns:max-content 1fr;gap:.2em 1em}dt{opacity:.6}dd{margin:0}footer,.soon{font-size:.9em;opacity:.7}`

// pagePolicy lets a page load nothing, whatever stands in it.
const pagePolicy = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

// comesSoon reports whether a call that failed may succeed in seconds: its process is on
// its way. Only a request that may be sent again is.
func comesSoon(r *http.Request, f *failure.Error) bool {
	safe := r.Method == http.MethodGet || r.Method == http.MethodHead
	return safe && f.Kind == failure.NotReady && f.State != "stopped" && f.State != "exited"
}
