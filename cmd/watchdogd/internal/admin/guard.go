package admin

import (
	"crypto/subtle"
	"errors"
	"net"
	"net/http"
	"strings"

	"github.com/watchdogd/watchdogd/schema"
)

// guard lets in whoever may use the admin API: everyone who can open a socket of mode
// 0600; over TCP those who have the token or, without one, programs on this machine, but
// no web page: a browser can be made to send any GET here, as for an image.
func guard(next http.Handler, cfg schema.Admin) http.Handler {
	if cfg.Listen == "" || strings.HasPrefix(cfg.Listen, "unix:") {
		return next
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		token, _ := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
		switch {
		case cfg.Token != "" && subtle.ConstantTimeCompare([]byte(token), []byte(cfg.Token)) != 1:
			w.Header().Set("WWW-Authenticate", "Bearer")
			refuse(w, http.StatusUnauthorized, errors.New("the admin API requires its token: send Authorization: Bearer with admin.token of the file"))
		case cfg.Token == "" && (fromBrowser(r.Header) || !isLoopback(r.Host)):
			refuse(w, http.StatusForbidden, errors.New("the admin API without a token answers programs on this machine, not browsers and web pages; use the watchdogd command or curl, or set admin.token"))
		default:
			if cfg.Token != "" { // which is not for the program that /v1/call reaches
				delete(r.Header, "Authorization")
				if own := r.Header[callAuthorization]; own != nil {
					r.Header["Authorization"] = own
					delete(r.Header, callAuthorization)
				}
			}
			next.ServeHTTP(w, r)
		}
	})
}

// callAuthorization carries the Authorization of a call where the field itself carries
// the token of the admin API.
const callAuthorization = "Watchdogd-Call-Authorization"

// unrebound refuses what a browser sends over loopback to a name that is not this
// machine's: a page of another site that has its own name resolved to 127.0.0.1 (DNS
// rebinding) may read the response. An address is not a name that a site can have.
func unrebound(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		local, _ := r.Context().Value(http.LocalAddrContextKey).(net.Addr)
		// A page can hide some of what fromBrowser looks for, and not this field.
		browser := fromBrowser(r.Header) || r.Header["Accept-Language"] != nil
		if local != nil && isLoopback(local.String()) && browser && !isLoopback(r.Host) && !isAddress(r.Host) {
			refuse(w, http.StatusForbidden, errors.New("a browser asked for the metrics of this machine by another name; use localhost or an address"))
			return
		}
		next.ServeHTTP(w, r)
	})
}

// fromBrowser reports whether a browser sent a request: in every one of the last years,
// Sec-Fetch-Site; in older ones Origin or Referer, and always Mozilla in front of its name.
func fromBrowser(header http.Header) bool {
	for _, name := range [...]string{"Sec-Fetch-Site", "Sec-Fetch-Mode", "Origin", "Referer"} {
		if header[name] != nil {
			return true
		}
	}
	return strings.HasPrefix(header.Get("User-Agent"), "Mozilla/")
}

func isLoopback(hostport string) bool {
	host := hostOf(hostport)
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

func isAddress(hostport string) bool { return net.ParseIP(hostOf(hostport)) != nil }

// hostOf returns what precedes the port, if there is one.
func hostOf(hostport string) string {
	if host, _, err := net.SplitHostPort(hostport); err == nil {
		return host
	}
	return strings.Trim(hostport, "[]")
}
