package modes

import (
	"errors"
	"fmt"
	"net/http"
	"net/textproto"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/watchdogd/watchdogd/internal/http1"
)

// head is the head of one response as the upstream sent it: what says where the
// message ends, and the fields that are for the caller.
type head struct {
	status    int
	reason    string        // the reason phrase, where it is not the usual one of the status
	fields    []field       // without hop-by-hop fields, those that Connection names, and Content-Length
	length    int64         // Content-Length; -1 when there is none
	chunked   bool          // Transfer-Encoding: chunked
	close     bool          // the upstream will close the connection after this message
	keepAlive time.Duration // how long it keeps an idle connection, if it says
	upgrade   string        // the value of Upgrade when Connection names it
	trailer   []string      // the names that Trailer announces
	hop       http1.Hop
}

// field is one header or trailer field; its name is in canonical form.
type field struct{ name, value string }

// parse reads a whole head, from the status line to the empty line. It is strict:
// what RFC 9112 does not allow is an error and never a guess, because two readers who
// guess differently about where a message ends see two different messages. The one
// thing allowed for is a line that ends in a bare LF (RFC 9112, 2.2), which is what
// small scripts send. The strings of h are parts of s.
func (h *head) parse(s string) error {
	*h = head{fields: h.fields[:0], length: -1}
	line, s, err := cutLine(s)
	if err != nil {
		return err
	}
	minor, err := h.parseStatus(line)
	if err != nil {
		return err
	}
	for n := 0; ; n++ {
		if line, s, err = cutLine(s); err != nil {
			return err
		}
		if line == "" {
			break
		}
		if n == http1.MaxFields {
			return fmt.Errorf("a head of more than %d fields", http1.MaxFields)
		}
		f, err := parseField(line)
		if err != nil {
			return err
		}
		if err := h.take(f); err != nil {
			return err
		}
	}
	if s != "" {
		return errors.New("bytes after the end of the head")
	}
	switch {
	case h.chunked && h.length >= 0:
		return errors.New("both Content-Length and Transfer-Encoding")
	case h.chunked && minor == 0:
		return errors.New("Transfer-Encoding in an HTTP/1.0 response")
	}
	if minor == 0 {
		h.close = true
	}
	if h.hop.Names() { // fields that came before the Connection that names them
		h.fields = slices.DeleteFunc(h.fields, func(f field) bool { return h.hop.Ends(f.name) })
	}
	h.close = h.close || h.hop.Close
	if !h.hop.Upgrade {
		h.upgrade = ""
	}
	return nil
}

// parseStatus reads a status line and gives the minor version of HTTP/1.
func (h *head) parseStatus(line string) (minor int, err error) {
	version, rest, _ := strings.Cut(line, " ")
	switch version {
	case "HTTP/1.1":
		minor = 1
	case "HTTP/1.0":
	default:
		return 0, fmt.Errorf("no HTTP/1 status line: %s", quoted(line))
	}
	code, reason, _ := strings.Cut(rest, " ")
	if len(code) != 3 || !http1.Digits(code) || code[0] == '0' || !http1.ValidValue(reason) {
		return 0, fmt.Errorf("malformed status line: %s", quoted(line))
	}
	h.status, _ = strconv.Atoi(code)
	if reason != http.StatusText(h.status) {
		h.reason = reason
	}
	return minor, nil
}

// take sorts one field into the head.
func (h *head) take(f field) error {
	switch f.name {
	case "Content-Length":
		if h.length >= 0 {
			return errors.New("more than one Content-Length")
		}
		n, err := strconv.ParseInt(f.value, 10, 64)
		if err != nil || !http1.Digits(f.value) {
			return fmt.Errorf("malformed Content-Length: %s", quoted(f.value))
		}
		h.length = n
	case "Transfer-Encoding":
		if h.chunked || !strings.EqualFold(f.value, "chunked") {
			return fmt.Errorf("unsupported Transfer-Encoding: %s", quoted(f.value))
		}
		h.chunked = true
	case "Connection":
		if !h.hop.Add(f.value) {
			return fmt.Errorf("Connection has more than %d options", http1.MaxOptions)
		}
	case "Keep-Alive":
		h.keepAlive = parseKeepAlive(f.value)
	case "Trailer":
		if h.trailer = appendList(h.trailer, f.value); len(h.trailer) > http1.MaxFields {
			return fmt.Errorf("Trailer has more than %d names", http1.MaxFields)
		}
	case "Upgrade":
		h.upgrade = f.value
	default:
		if !h.hop.Ends(f.name) {
			h.fields = append(h.fields, f)
		}
		if len(h.fields) > http1.MaxFields {
			return fmt.Errorf("more than %d fields", http1.MaxFields)
		}
	}
	return nil
}

// bodiless reports whether the message ends with its head, whatever its fields say
// (RFC 9112, 6.3).
func (h *head) bodiless(method string) bool {
	return method == http.MethodHead || h.status < 200 || h.status == http.StatusNoContent || h.status == http.StatusNotModified
}

// writeTo puts the fields into the header of the response to the caller, in place
// of what the header has under the same names.
func (h *head) writeTo(header http.Header) {
	if len(header) > 0 {
		for _, f := range h.fields {
			delete(header, f.name)
		}
	}
	values := make([]string, len(h.fields)+1)
	for i, f := range h.fields {
		values[i] = f.value
		if before, ok := header[f.name]; ok {
			header[f.name] = append(before, f.value)
		} else {
			header[f.name] = values[i : i+1 : i+1]
		}
	}
	if h.length >= 0 {
		last := len(h.fields)
		values[last] = strconv.FormatInt(h.length, 10)
		header["Content-Length"] = values[last:]
	} else {
		delete(header, "Content-Length")
	}
	if _, ok := header["Content-Type"]; !ok {
		header["Content-Type"] = nil // or net/http guesses one from the body
	}
}

// noteReason sets the reason phrase of the access line.
func (h *head) noteReason(w http.ResponseWriter) {
	if h.reason == "" {
		return
	}
	if access, ok := face[reasonSetter](w); ok {
		access.SetReason(h.reason)
	}
}

// cutLine gives the first line of s without its end, and what follows.
func cutLine(s string) (line, rest string, err error) {
	i := strings.IndexByte(s, '\n')
	if i < 0 {
		return "", "", errors.New("a head that does not end")
	}
	line, rest = s[:i], s[i+1:]
	return strings.TrimSuffix(line, "\r"), rest, nil
}

// parseField reads "name: value". A folded line begins with a space, which no name
// does.
func parseField(line string) (field, error) {
	name, value, ok := strings.Cut(line, ":")
	if !ok || !http1.ValidName(name) {
		return field{}, fmt.Errorf("malformed field: %s", quoted(line))
	}
	value = strings.Trim(value, " \t")
	if !http1.ValidValue(value) {
		return field{}, fmt.Errorf("malformed value of %s: %s", name, quoted(value))
	}
	return field{textproto.CanonicalMIMEHeaderKey(name), value}, nil
}

// parseKeepAlive gives the seconds of "timeout=5, max=1000", or 0.
func parseKeepAlive(value string) time.Duration {
	for part := range strings.SplitSeq(value, ",") {
		if n, ok := strings.CutPrefix(strings.TrimSpace(part), "timeout="); ok && len(n) < 9 && http1.Digits(n) {
			seconds, _ := strconv.Atoi(n)
			return time.Duration(seconds) * time.Second
		}
	}
	return 0
}

// appendList appends the elements of a comma-separated value.
func appendList(list []string, value string) []string {
	for element := range strings.SplitSeq(value, ",") {
		if element = strings.Trim(element, " \t"); element != "" {
			list = append(list, element)
		}
	}
	return list
}

// named reports whether name is in list, in any case of letters.
func named(list []string, name string) bool {
	for _, element := range list {
		if strings.EqualFold(element, name) {
			return true
		}
	}
	return false
}

// quoted is s for a message to an operator: on one line and not long.
func quoted(s string) string {
	const most = 60
	if len(s) > most {
		return strconv.Quote(s[:most]) + "..."
	}
	return strconv.Quote(s)
}
