// Package page is what the admin listener shows to a browser: one HTML page that brings all it
// needs with it, and who may use it.
//
// A Page serves everything beneath its folder: the page itself, and by the paths relative to
// it what the page asks for. It runs no script and applies no style but its own, which the
// policy that it sends names by their hashes, and it speaks to no other origin. What comes
// from the daemon is put into it as text, never as HTML.
//
// The charts are those of uPlot (uplot/LICENSE), as it is published.
package page

import (
	"crypto/sha256"
	"embed"
	"encoding/base64"
	"net/http"
	"strings"
	"sync"
	"text/template"
)

//go:embed page.html login.html page.css text.js charts.js logs.js page.js uplot/uPlot.iife.min.js uplot/uPlot.min.css uplot/LICENSE
var files embed.FS

// Page is what a browser is shown.
type Page struct {
	Name    string // of the stack
	Version string // of watchdogd
	Control bool   // whether it shows logs, and may restart, stop, start and scale
}

// assets are the parts of a page that are the same for all, made when they are first asked for:
// no start of watchdogd waits for them.
var assets = sync.OnceValue(func() (a struct {
	page, login           *template.Template
	style, charts, script string
	policy                string
}) {
	a.page, a.login = template.Must(template.New("page").Parse(read("page.html"))), template.Must(template.New("login").Parse(read("login.html")))
	a.style = read("uplot/uPlot.min.css") + read("page.css")
	// The library sets itself up for a tenth of a second: after the first paint, when it is called.
	a.charts = "/*\n" + read("uplot/LICENSE") + "*/\nfunction loadPlot() {\n" + read("uplot/uPlot.iife.min.js") + "\nreturn uPlot;\n}"
	a.script = read("text.js") + read("charts.js") + read("logs.js") + read("page.js")
	a.policy = strings.Join([]string{
		"default-src 'none'", "script-src " + hash(a.charts) + " " + hash(a.script), "style-src " + hash(a.style), "connect-src 'self'", "img-src data:",
		"form-action 'self'", "base-uri 'none'", "frame-ancestors 'none'", "require-trusted-types-for 'script'", "trusted-types 'none'",
	}, "; ")
	return a
})

func read(name string) string {
	text, err := files.ReadFile(name)
	if err != nil {
		panic(err) // it is not embedded
	}
	return string(text)
}

// hash is the source of a Content-Security-Policy that allows text alone.
func hash(text string) string {
	sum := sha256.Sum256([]byte(text))
	return "'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'"
}

// icon is a green point.
const icon = "data:image/svg+xml,%3Csvg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 16 16'%3E%3Ccircle cx='8' cy='8' r='6' fill='%232e9e63'/%3E%3C/svg%3E"

// ServeHTTP answers with the page.
func (p *Page) ServeHTTP(w http.ResponseWriter, _ *http.Request) {
	a := assets()
	Protect(w.Header())
	_ = a.page.Execute(w, map[string]any{ // the client has gone
		"Name": p.Name, "Version": p.Version, "Control": p.Control,
		"Icon": icon, "Style": a.style, "Charts": a.charts, "Script": a.script,
	})
}

// serveLogin asks for the token.
func (p *Page) serveLogin(w http.ResponseWriter, wrong string) {
	a := assets()
	Protect(w.Header())
	w.WriteHeader(http.StatusUnauthorized)
	_ = a.login.Execute(w, map[string]any{"Name": p.Name, "Wrong": wrong, "Icon": icon, "Style": a.style}) // the client has gone
}

// Protect sets the fields of a response that keep a page to itself.
func Protect(h http.Header) {
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Content-Security-Policy", assets().policy)
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("Cross-Origin-Opener-Policy", "same-origin")
	h.Set("Cross-Origin-Resource-Policy", "same-origin")
	h.Set("Cache-Control", "no-store")
}
