package page

import (
	"crypto/rand"
	"crypto/subtle"
	"net/http"
	"strings"
	"sync"
)

const doorCookie = "watchdogd_ui"

// Door lets one browser to a page: the first that brings the token of its URL, which is then of
// no more use. The browser has a cookie instead, for as long as it is open.
type Door struct {
	host   string // by which it is reached: an address and a port
	cookie string
	next   http.Handler

	mu    sync.Mutex
	token string // empty when it has been used
}

// NewDoor returns a closed door in front of next, which is reached by host.
func NewDoor(host string, next http.Handler) *Door {
	return &Door{host: host, next: next, token: rand.Text(), cookie: rand.Text()}
}

// URL is what opens the door once.
func (d *Door) URL() string {
	d.mu.Lock()
	defer d.mu.Unlock()
	return "http://" + d.host + "/_/?token=" + d.token
}

// ServeHTTP lets in who has the cookie, or gives it in exchange for the token.
func (d *Door) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	token, cookie := r.URL.Query().Get("token"), ""
	if c, err := r.Cookie(doorCookie); err == nil {
		cookie = c.Value
	}
	switch {
	case r.Host != d.host: // a name that was made to resolve to this machine
		deny(w, http.StatusMisdirectedRequest, "this is not the address of the page")
	case r.Method == http.MethodGet && r.URL.Path == "/_/" && token != "":
		d.exchange(w, r, token)
	case !SameOrigin(r):
		deny(w, http.StatusForbidden, "a page of another origin sent this")
	case subtle.ConstantTimeCompare([]byte(cookie), []byte(d.cookie)) != 1:
		deny(w, http.StatusForbidden, "only the browser that opened the page first may use it; run \"watchdogd ui\" again for another")
	case r.URL.Path == "/":
		http.Redirect(w, r, "/_/", http.StatusSeeOther)
	case !strings.HasPrefix(r.URL.Path, "/_/"):
		deny(w, http.StatusNotFound, "the page is at /_/")
	default:
		d.next.ServeHTTP(w, r)
	}
}

// exchange takes the token, and leads to the page without it.
func (d *Door) exchange(w http.ResponseWriter, r *http.Request, token string) {
	d.mu.Lock()
	right := d.token != "" && subtle.ConstantTimeCompare([]byte(token), []byte(d.token)) == 1
	if right {
		d.token = ""
	}
	d.mu.Unlock()
	if !right {
		deny(w, http.StatusForbidden, "this address is wrong, or has been used already: it opens the page once; run \"watchdogd ui\" again")
		return
	}
	http.SetCookie(w, &http.Cookie{Name: doorCookie, Value: d.cookie, Path: "/_/", HttpOnly: true, SameSite: http.SameSiteStrictMode})
	Protect(w.Header())
	if SameOrigin(r) {
		w.Header().Set("Location", "/_/")
		w.WriteHeader(http.StatusSeeOther)
		return
	}
	// A link of another page, or a file, led here: what is redirected would still come from
	// there, and be without the cookie.
	w.Header().Set("Refresh", "0; url=/_/")
}

// deny refuses with a sentence.
func deny(w http.ResponseWriter, status int, why string) {
	h := w.Header()
	Protect(h)
	h.Set("Content-Type", "text/plain; charset=utf-8")
	w.WriteHeader(status)
	_, _ = w.Write([]byte("watchdogd: " + why + "\n")) // the client has gone
}
