package admin

import (
	"crypto/subtle"
	"errors"
	"net/http"
	"strings"
	"sync/atomic"
	"time"

	"github.com/watchdogd/watchdogd/cmd/watchdogd/internal/history"
	"github.com/watchdogd/watchdogd/cmd/watchdogd/internal/page"
	"github.com/watchdogd/watchdogd/cmd/watchdogd/internal/version"
	"github.com/watchdogd/watchdogd/schema"
)

// The page stands beneath /_/ with all that it asks for, so that a browser needs no other
// path of the admin API: none of those that reach a program, or read a profile.

// withPage serves the page with its logs and actions beside the admin API.
func (d *Server) withPage(api http.Handler, cfg *schema.Config) http.Handler {
	p := &page.Page{Name: cfg.Name, Version: version.Text(), Control: true}
	mux := http.NewServeMux()
	mux.Handle("GET /_/{$}", p)
	mux.Handle("GET /_", http.RedirectHandler("/_/", http.StatusMovedPermanently))
	mux.HandleFunc("GET /_/events", d.observing().Events(history.MostFollowers))
	mux.HandleFunc("GET /_/history", d.observing().ServeHistory)
	mux.HandleFunc("GET /_/ps/{name}", d.serveDetail)
	mux.HandleFunc("GET /_/logs", d.tail)
	d.steering(mux, "/_/")
	guarded := guardPage(mux, p, cfg.Admin)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if path := r.URL.Path; path == "/_" || strings.HasPrefix(path, "/_/") && path != "/_/stats" {
			guarded.ServeHTTP(w, r)
			return
		}
		api.ServeHTTP(w, r)
	})
}

// readPage serves the page beside the metrics, for reading: without what programs print, and
// without actions. It leaves followers of the admin listener their places.
func (d *Server) readPage(mux *http.ServeMux) {
	own := func(next http.HandlerFunc) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			if !page.SameOrigin(r) {
				refuse(w, http.StatusForbidden, errForeign)
				return
			}
			next(w, r)
		}
	}
	mux.Handle("GET /_/{$}", &page.Page{Name: d.Config().Name, Version: version.Text()})
	mux.Handle("GET /_", http.RedirectHandler("/_/", http.StatusMovedPermanently))
	mux.HandleFunc("GET /_/events", own(d.observing().Events(history.MostFollowers/2)))
	mux.HandleFunc("GET /_/history", own(d.observing().ServeHistory))
	mux.HandleFunc("GET /_/ps/{name}", own(d.serveQuietDetail))
}

// errForeign is what a page of another origin is told.
var errForeign = errors.New("a page of another origin sent this; open the page of watchdogd itself")

// guardPage lets in who may use the page: everyone who can open a socket of mode 0600, and the
// pages of no other origin; over TCP those who have the token, or a cookie for it, or
// without a token browsers and programs on this machine.
func guardPage(next http.Handler, p *page.Page, cfg schema.Admin) http.Handler {
	login := &page.Login{Page: p, Token: string(cfg.Token)}
	socket := cfg.Listen == "" || strings.HasPrefix(cfg.Listen, "unix:")
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		bearer, _ := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
		switch {
		case !page.SameOrigin(r):
			refuse(w, http.StatusForbidden, errForeign)
		case socket:
			next.ServeHTTP(w, r)
		case cfg.Token == "" && (!isLoopback(r.Host) || fromBrowser(r.Header) && r.Header.Get("Sec-Fetch-Site") == ""):
			refuse(w, http.StatusForbidden, errors.New("without a token the page is for browsers of this machine that say where a request comes from; use its loopback address, watchdogd ui, or set admin.token"))
		case cfg.Token == "", subtle.ConstantTimeCompare([]byte(bearer), []byte(cfg.Token)) == 1, login.Signed(r):
			next.ServeHTTP(w, r)
		case r.Method == http.MethodPost && r.URL.Path == "/_/login":
			login.ServeHTTP(w, r)
		case r.Method == http.MethodGet && r.URL.Path == "/_/":
			login.Ask(w)
		default:
			w.Header().Set("WWW-Authenticate", "Bearer")
			refuse(w, http.StatusUnauthorized, errors.New("the page needs the token of the admin API: open /_/ in a browser, or send Authorization: Bearer with admin.token of the file"))
		}
	})
}

// tailing counts the pages that follow logs.
type tailing struct{ pages atomic.Int32 }

// tailBound is how long a page may take to read what was sent to it.
const tailBound = 10 * time.Second

// tail is serveLogs for pages: there are only so many at once, and one that does not read is
// dropped.
func (d *Server) tail(w http.ResponseWriter, r *http.Request) {
	defer d.tailing.pages.Add(-1)
	if d.tailing.pages.Add(1) > history.MostFollowers {
		refuse(w, http.StatusServiceUnavailable, errors.New("too many pages follow the logs; close one"))
		return
	}
	d.serveLogs(&hasty{w}, r)
}

// hasty is a response whose client has tailBound to read each part of it.
type hasty struct{ http.ResponseWriter }

func (h *hasty) Write(p []byte) (int, error) {
	_ = http.NewResponseController(h.ResponseWriter).SetWriteDeadline(time.Now().Add(tailBound)) // not every connection has one
	return h.ResponseWriter.Write(p)
}

// Unwrap is for http.ResponseController.
func (h *hasty) Unwrap() http.ResponseWriter { return h.ResponseWriter }
