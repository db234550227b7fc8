package forking

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"net/textproto"
	"net/url"
	"path"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	"github.com/watchdogd/watchdogd/internal/call"
	"github.com/watchdogd/watchdogd/internal/failure"
	"github.com/watchdogd/watchdogd/schema"
)

// environ makes the variables by which a forked program knows its request, as the
// route's environ key says. They are added to the program's own environment and
// win over it.
//
//   - openfaas: what of-watchdog sets (Http_Method, Http_Path, Http_Query and an
//     Http_Name for the first value of each header Name), and Http_Host.
//   - classic: what the classic watchdog sets: the same, and the length of the body as
//     Http_Content_Length and Http_ContentLength, -1 where it is not known.
//   - cgi: the meta-variables of RFC 3875, REQUEST_URI and HTTPS.
//   - none: nothing.
//
// A traceparent header becomes TRACEPARENT in the first three.
type environ struct {
	kind string
	dir  string // what PATH_TRANSLATED is relative to
	auth schema.Auth
}

func newEnviron(route *schema.Route) environ {
	return environ{
		kind: route.Environ,
		dir:  route.Dir.Expand(schema.Vars{Name: route.Name}),
		auth: route.Auth,
	}
}

// content is what a program finds on its standard input. The request's own, or
// what a form was made into.
type content struct {
	typ    string
	length int64 // -1: not known before its end
	made   bool  // by us: the request's headers speak of something else
}

// sent is r's content as it came.
func sent(r *http.Request) content {
	return content{typ: r.Header.Get("Content-Type"), length: r.ContentLength}
}

// of returns the variables of r with c on standard input. The error is a
// *failure.Error: HeaderTooLarge when one of them is more than the kernel takes,
// Malformed when the request holds a NUL byte where no variable can.
func (e *environ) of(r *http.Request, c content) ([]string, error) {
	var vars []string
	switch e.kind {
	case "openfaas":
		vars = openfaasVars(r, c, false)
	case "classic":
		vars = openfaasVars(r, c, true)
	case "cgi":
		vars = e.cgiVars(r, c)
	}
	for _, v := range vars {
		if len(v) >= maxVar {
			name, _, _ := strings.Cut(v, "=")
			return nil, &failure.Error{Kind: failure.HeaderTooLarge,
				Detail: fmt.Sprintf("%.60s is %d bytes, more than a program's environment can carry", name, len(v)-len(name)-1)}
		}
		if strings.IndexByte(v, 0) >= 0 {
			return nil, &failure.Error{Kind: failure.Malformed,
				Detail: "the request's path or credentials hold a NUL byte, which a program's environment cannot carry"}
		}
	}
	return vars, nil
}

// maxVar is the size of one NAME=VALUE with its NUL that execve(2) of Linux refuses
// with E2BIG: MAX_ARG_STRLEN, 32 pages.
const maxVar = 128 << 10

// openfaasVars are the variables that an image reads which was written for of-watchdog,
// or for the classic watchdog.
//
// The names that describe the request line are ours alone: a header that would be
// called Http_Query, say, is left out. So is Proxy: of-watchdog passes it as
// Http_Proxy, and a program that reads proxy variables in any case of letters, as
// Python's urllib does, would send its own requests to a host of the client's choice.
func openfaasVars(r *http.Request, c content, classic bool) []string {
	vars := make([]string, 0, len(r.Header)+8)
	for name, values := range r.Header {
		if len(values) == 0 {
			continue
		}
		if c.made && (name == "Content-Type" || name == "Content-Length") {
			continue
		}
		variable := "Http_" + strings.ReplaceAll(name, "-", "_")
		if reserved(variable) || shadowed(name, r.Header) || classic && length(variable) {
			continue
		}
		vars = append(vars, variable+"="+values[0])
	}
	if c.made {
		vars = append(vars, "Http_Content_Type="+c.typ)
	}
	if c.made || classic {
		size := r.ContentLength
		if c.made {
			size = c.length
		}
		vars = append(vars, "Http_Content_Length="+strconv.FormatInt(size, 10))
		if classic {
			vars = append(vars, "Http_ContentLength="+strconv.FormatInt(size, 10))
		}
	}
	vars = append(vars, "Http_Method="+r.Method)
	if r.Host != "" {
		vars = append(vars, "Http_Host="+r.Host)
	}
	if r.URL.RawQuery != "" {
		vars = append(vars, "Http_Query="+r.URL.RawQuery)
	}
	if r.URL.Path != "" {
		vars = append(vars, "Http_Path="+r.URL.Path)
	}
	if len(r.TransferEncoding) > 0 && !c.made {
		vars = append(vars, "Http_Transfer_Encoding="+r.TransferEncoding[0])
	}
	return traceparent(vars, r)
}

// reserved reports whether no header may make variable.
func reserved(variable string) bool {
	for _, ours := range [...]string{"Http_Method", "Http_Query", "Http_Path", "Http_Host", "Http_Transfer_Encoding", "Http_Proxy"} {
		if strings.EqualFold(variable, ours) {
			return true
		}
	}
	return false
}

// length reports whether variable is one of the two that hold the length of
// the body in the classic watchdog of the body, in any case of letters.
func length(variable string) bool {
	return strings.EqualFold(variable, "Http_Content_Length") || strings.EqualFold(variable, "Http_ContentLength")
}

// shadowed reports whether name holds an underscore and another header, with
// hyphens in its place, makes the same variable and goes before.
func shadowed(name string, header http.Header) bool {
	if !strings.Contains(name, "_") {
		return false
	}
	hyphened := textproto.CanonicalMIMEHeaderKey(strings.ReplaceAll(name, "_", "-"))
	_, there := header[hyphened]
	return there
}

// traceparent adds TRACEPARENT, if the header is one: other programs' tracing reads
// the variable, so nothing else may stand in it.
func traceparent(vars []string, r *http.Request) []string {
	value := r.Header.Get("Traceparent")
	if len(value) < 55 || strings.Trim(value, "0123456789abcdef-") != "" {
		return vars
	}
	return append(vars, "TRACEPARENT="+value)
}

// cgiVars are the meta-variables of RFC 3875, section 4.1. It leaves open, and we
// decided:
//
//   - PATH_TRANSLATED is PATH_INFO within the route's dir, so that php-cgi and
//     git http-backend find their files without further variables.
//   - HTTP_AUTHORIZATION is given, for programs that check it themselves, unless the
//     route's own auth has checked it already. AUTH_TYPE and REMOTE_USER say what
//     that found, and nothing else makes them.
//   - A header whose name holds anything but letters, digits and hyphens is left out:
//     it could be taken for another. So is Proxy (httpoxy).
//   - Repeated headers are joined by ", ", Cookie by "; ".
func (e *environ) cgiVars(r *http.Request, c content) []string {
	script, info, uri := split(r)
	host, port := serverName(r)
	vars := make([]string, 0, len(r.Header)+24)
	vars = append(vars,
		"GATEWAY_INTERFACE=CGI/1.1",
		"SERVER_SOFTWARE=watchdogd",
		"SERVER_PROTOCOL="+r.Proto,
		"SERVER_NAME="+host,
		"SERVER_PORT="+port,
		"REQUEST_METHOD="+r.Method,
		"REQUEST_URI="+uri,
		"SCRIPT_NAME="+script,
		"PATH_INFO="+info,
		"QUERY_STRING="+r.URL.RawQuery,
	)
	if info != "" {
		vars = append(vars, "PATH_TRANSLATED="+filepath.Join(e.dir, filepath.FromSlash(path.Clean("/"+info))))
	}
	if c.length > 0 || c.length == 0 && r.Header.Get("Content-Length") != "" {
		vars = append(vars, "CONTENT_LENGTH="+strconv.FormatInt(c.length, 10))
	}
	if c.typ != "" {
		vars = append(vars, "CONTENT_TYPE="+c.typ)
	}
	vars = clientVars(vars, r)
	if r.Host != "" {
		vars = append(vars, "HTTP_HOST="+r.Host)
	}
	return traceparent(e.headerVars(vars, r), r)
}

// clientVars adds what says who asks, and by what connection.
func clientVars(vars []string, r *http.Request) []string {
	if remote, err := netip.ParseAddrPort(r.RemoteAddr); err == nil {
		address := remote.Addr().Unmap().WithZone("").String()
		vars = append(vars, "REMOTE_ADDR="+address, "REMOTE_HOST="+address, "REMOTE_PORT="+strconv.Itoa(int(remote.Port())))
	} else {
		vars = append(vars, "REMOTE_ADDR=unix:", "REMOTE_HOST=localhost")
	}
	if secure(r) {
		vars = append(vars, "HTTPS=on", "REQUEST_SCHEME=https")
	} else {
		vars = append(vars, "REQUEST_SCHEME=http")
	}
	if c := call.From(r.Context()); c.User != "" {
		vars = append(vars, "AUTH_TYPE="+c.AuthType, "REMOTE_USER="+c.User)
	}
	return vars
}

// headerVars adds the HTTP_ variables of the headers.
func (e *environ) headerVars(vars []string, r *http.Request) []string {
	for name, values := range r.Header {
		switch name {
		case "Content-Type", "Content-Length", "Proxy", "Host":
			continue
		case "Authorization":
			if e.auth != (schema.Auth{}) {
				continue
			}
		}
		variable, ok := cgiName(name)
		if !ok || len(values) == 0 {
			continue
		}
		joint := ", "
		if name == "Cookie" {
			joint = "; "
		}
		vars = append(vars, variable+"="+strings.Join(values, joint))
	}
	return vars
}

// split returns SCRIPT_NAME, PATH_INFO and REQUEST_URI: the route's prefix as the
// client sees it, the decoded rest of the path, and the target as it was sent.
func split(r *http.Request) (script, info, uri string) {
	uri = r.RequestURI
	if !strings.HasPrefix(uri, "/") {
		uri = r.URL.RequestURI() // absolute-form, or a request that no server read
	}
	outer := r.Header.Get("X-Forwarded-Prefix")
	c := call.From(r.Context())
	rest, _, _ := strings.Cut(uri, "?")
	if c.Stripped {
		if outer == "" {
			outer = c.Prefix
		}
		script = outer
	} else if inner, ok := strings.CutPrefix(rest, c.Prefix); ok && (inner == "" || inner[0] == '/') {
		script, rest = outer+c.Prefix, inner
	} else {
		script = outer // reached by another prefix than its own, which is gone already
	}
	return unescape(strings.TrimSuffix(script, "/")), unescape(rest), outer + uri
}

// unescape is s without its percent-encoding, or s itself where it has none that is valid.
func unescape(s string) string {
	plain, err := url.PathUnescape(s)
	if err != nil {
		return s
	}
	return plain
}

// serverName returns SERVER_NAME and SERVER_PORT: the host that the client asked for, so
// that a program's links to itself lead back, or the address that was reached.
func serverName(r *http.Request) (host, port string) {
	address := r.Host
	if address == "" {
		if local, ok := r.Context().Value(http.LocalAddrContextKey).(net.Addr); ok {
			address = local.String()
		}
	}
	port = "80"
	if secure(r) {
		port = "443"
	}
	host = address
	if i := strings.LastIndexByte(address, ':'); i >= 0 && i > strings.LastIndexByte(address, ']') {
		host = address[:i]
		if digits := address[i+1:]; digits != "" {
			port = digits
		}
	}
	return host, port
}

// secure reports whether the client spoke TLS, to us or to a proxy that routes trusts.
func secure(r *http.Request) bool {
	if proto := r.Header.Get("X-Forwarded-Proto"); proto != "" {
		return strings.EqualFold(proto, "https")
	}
	return r.TLS != nil
}

// cgiName is HTTP_NAME for a header whose name cannot be mistaken for another's.
func cgiName(name string) (string, bool) {
	b := make([]byte, 0, len("HTTP_")+len(name))
	b = append(b, "HTTP_"...)
	for _, c := range []byte(name) {
		switch {
		case 'a' <= c && c <= 'z':
			c -= 'a' - 'A'
		case 'A' <= c && c <= 'Z', '0' <= c && c <= '9':
		case c == '-':
			c = '_'
		default:
			return "", false
		}
		b = append(b, c)
	}
	return string(b), true
}

// startFailure is what a program that could not be started with vars means: a head
// too large for the kernel is the client's fault, everything else is not.
func startFailure(err error, vars []string) *failure.Error {
	size := 0
	for _, v := range vars {
		size += len(v) + 1
	}
	if errors.Is(err, syscall.E2BIG) && size > 32<<10 {
		return &failure.Error{Kind: failure.HeaderTooLarge, Cause: err,
			Detail: fmt.Sprintf("the request's %d bytes of variables are more than a program's environment can carry", size)}
	}
	return &failure.Error{Kind: failure.StartFailed, Detail: "the program could not be started", Cause: err}
}
