package page

import (
	"crypto/hmac"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

const (
	cookieName  = "watchdogd_page"
	cookieLasts = 12 * time.Hour
	mostForm    = 8 << 10 // of a login
)

// Login asks a browser for a token, and gives it a cookie in exchange, which ends after twelve
// hours, or with the token. The cookie is no secret of its own that had to be kept: it is
// signed with the token, so that it is good after a restart too.
type Login struct {
	Page  *Page
	Token string
}

// Signed reports whether a request has the cookie.
func (l *Login) Signed(r *http.Request) bool {
	c, err := r.Cookie(cookieName)
	if err != nil {
		return false
	}
	until, signature, _ := strings.Cut(c.Value, ".")
	end, err := strconv.ParseInt(until, 10, 64)
	return err == nil && time.Now().Unix() < end && subtle.ConstantTimeCompare([]byte(signature), []byte(l.sign(until))) == 1
}

func (l *Login) sign(until string) string {
	mac := hmac.New(sha256.New, []byte(l.Token))
	mac.Write([]byte("the page of watchdogd until " + until))
	return hex.EncodeToString(mac.Sum(nil))
}

// Ask answers with the form.
func (l *Login) Ask(w http.ResponseWriter) { l.Page.serveLogin(w, "") }

// ServeHTTP takes the form: with the token it answers with the cookie, and leads to the page.
func (l *Login) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	r.Body = http.MaxBytesReader(w, r.Body, mostForm)
	if subtle.ConstantTimeCompare([]byte(r.PostFormValue("token")), []byte(l.Token)) != 1 {
		l.Page.serveLogin(w, "This is not the token.")
		return
	}
	until := strconv.FormatInt(time.Now().Add(cookieLasts).Unix(), 10)
	http.SetCookie(w, &http.Cookie{Name: cookieName, Value: until + "." + l.sign(until), Path: "/_/", MaxAge: int(cookieLasts.Seconds()), HttpOnly: true, SameSite: http.SameSiteStrictMode})
	Protect(w.Header())
	w.Header().Set("Location", "./")
	w.WriteHeader(http.StatusSeeOther)
}

// SameOrigin reports whether a browser's request comes from a page of this very origin, or, if
// it only reads, from the user: an address typed in, a bookmark. Browsers say so by
// Sec-Fetch-Site; over HTTP to another machine they do not, and then Origin has to be this one
// where something is to be done.
func SameOrigin(r *http.Request) bool {
	reads := r.Method == http.MethodGet || r.Method == http.MethodHead
	switch r.Header.Get("Sec-Fetch-Site") {
	case "same-origin":
		return true
	case "none":
		return reads
	case "":
	default:
		return false
	}
	from := r.Header.Values("Origin")
	if len(from) != 1 {
		return len(from) == 0 && reads
	}
	origin, err := url.Parse(from[0])
	return err == nil && origin.Host != "" && strings.EqualFold(origin.Host, r.Host)
}
