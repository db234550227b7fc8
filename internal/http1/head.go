package http1

import (
	"errors"
	"net/http"
	"net/textproto"
	"strconv"
	"strings"
	"time"
)

// Head is what the heads of requests and responses have in common: the fields, in the order
// in which they came, and what they say about where the message ends. Whoever forwards it
// copies the fields, less those that Hop ends; an http.Header is made of them only where one
// is needed. The strings are parts of the text that was parsed.
type Head struct {
	Fields  Fields // its memory is used again by the next Parse
	Minor   int    // the version is HTTP/1.Minor
	Length  int64  // Content-Length; -1 is none
	Chunked bool   // Transfer-Encoding: chunked
	Hop     Hop
	Loose   bool // a line ends in a bare LF (RFC 9112, 2.2)

	asks  bool   // it is the head of a request
	host  string // of the last Host field
	hosts int
	lines int
}

// Request is the head of a request. Host and Transfer-Encoding are not among its Fields.
type Request struct {
	Head
	Method, Target, Host string
}

// Response is the head of a response.
type Response struct {
	Head
	Status    int
	Reason    string        // the reason phrase, where it is not the usual one of the status
	KeepAlive time.Duration // how long the other side keeps an idle connection, if it says
	Upgrade   string        // the value of Upgrade where Connection names it
	Trailer   []string      // the names that Trailer announces

	Text Text // where the text of the head may be kept
}

// Malformed is why bytes are not a valid message.
type Malformed struct {
	What string // a clause
	Text string // the bytes, for an operator: they may hold a secret
}

// Error returns What and some of Text.
func (e *Malformed) Error() string {
	if e.Text == "" {
		return e.What
	}
	return e.What + ": " + Quoted(e.Text)
}

func malformed(what, text string) error { return &Malformed{what, text} }

// ErrTooManyFields is the error of a head with more than MaxFields fields.
var ErrTooManyFields = errors.New("the head has more than " + strconv.Itoa(MaxFields) + " fields")

// Parse reads a whole head, from the request line to the empty line. It is strict: what
// RFC 9112 does not allow is an error and never a guess, because two readers who guess
// differently about where a message ends see two different messages. The one thing allowed
// for is a line that ends in a bare LF (section 2.2), which is what small scripts send. Its
// error is ErrTooManyFields or a *Malformed. The form of Target is CheckTarget's business.
func (q *Request) Parse(s string) error {
	q.reset()
	q.asks = true
	line, rest, err := q.cutLine(s)
	if err != nil {
		return err
	}
	method, line, ok := strings.Cut(line, " ")
	target, version, ok2 := strings.Cut(line, " ")
	switch {
	case !ok || !ok2 || !ValidName(method) || !ValidTarget(target):
		return malformed("the request line is malformed", "")
	case version == "HTTP/1.1":
		q.Minor = 1
	case version != "HTTP/1.0":
		return malformed("the HTTP version is unknown", "")
	}
	q.Method, q.Target = method, target
	if err := q.parse(rest); err != nil {
		return err
	}
	switch {
	case q.hosts == 0 && q.Minor > 0:
		return malformed("missing required Host header", "")
	case q.hosts > 1:
		return malformed("there are several Host headers", "")
	case !ValidHost(q.host):
		return malformed("the Host header is malformed", "")
	}
	q.Host = q.host
	return nil
}

// Parse reads a whole head, from the status line to the empty line, as strictly as that of
// a request.
func (p *Response) Parse(s string) error {
	p.reset()
	p.Reason, p.KeepAlive, p.Upgrade, p.Trailer = "", 0, "", nil
	line, rest, err := p.cutLine(s)
	if err != nil {
		return err
	}
	if err := p.parseStatus(line); err != nil {
		return err
	}
	if err := p.parse(rest); err != nil {
		return err
	}
	for _, f := range p.Fields.All() {
		switch f.Name {
		case "Keep-Alive":
			p.KeepAlive = parseKeepAlive(f.Value)
		case "Trailer":
			if p.Trailer = AppendList(p.Trailer, f.Value); len(p.Trailer) > MaxFields {
				return malformed("Trailer has more than "+strconv.Itoa(MaxFields)+" names", "")
			}
		case "Upgrade":
			if p.Hop.Upgrade {
				p.Upgrade = f.Value
			}
		}
	}
	return nil
}

// parseStatus reads a status line.
func (p *Response) parseStatus(line string) error {
	version, rest, _ := strings.Cut(line, " ")
	switch version {
	case "HTTP/1.1":
		p.Minor = 1
	case "HTTP/1.0":
	default:
		return malformed("not an HTTP/1 status line", line)
	}
	code, reason, _ := strings.Cut(rest, " ")
	if len(code) != 3 || !Digits(code) || code[0] == '0' || !ValidValue(reason) {
		return malformed("malformed status line", line)
	}
	p.Status, _ = strconv.Atoi(code)
	if reason != http.StatusText(p.Status) {
		p.Reason = reason
	}
	return nil
}

func (h *Head) reset() {
	h.Fields.Reset()
	*h = Head{Fields: h.Fields, Length: -1}
}

// parse reads the fields, up to the empty line, which must be the end of s.
func (h *Head) parse(s string) error {
	for {
		line, rest, err := h.cutLine(s)
		if err != nil {
			return err
		}
		s = rest
		if line == "" {
			break
		}
		if h.lines++; h.lines > MaxFields {
			return ErrTooManyFields
		}
		f, err := ParseField(line)
		if err != nil {
			return err
		}
		if err := h.take(f); err != nil {
			return err
		}
		if !h.asks || f.Name != "Host" && f.Name != "Transfer-Encoding" {
			h.Fields.Add(f.Name, f.Value)
		}
	}
	switch {
	case s != "":
		return malformed("there are bytes after the end of the head", "")
	case h.Chunked && h.Length >= 0:
		return malformed("there are both Content-Length and Transfer-Encoding", "")
	case h.Chunked && h.Minor == 0:
		return malformed("there is a Transfer-Encoding in HTTP/1.0", "")
	}
	return nil
}

// take notes what one field says about the message.
func (h *Head) take(f Field) error {
	switch f.Name {
	case "Content-Length":
		n, ok := ParseLength(f.Value)
		if h.Length >= 0 || !ok {
			return malformed("Content-Length is malformed, or there are two", f.Value)
		}
		h.Length = n
	case "Transfer-Encoding":
		if h.Chunked || !strings.EqualFold(f.Value, "chunked") {
			return malformed("the Transfer-Encoding is unknown", f.Value)
		}
		h.Chunked = true
	case "Host":
		h.host = f.Value
		h.hosts++
	case "Connection":
		if !h.Hop.Add(f.Value) {
			return malformed("Connection has more than "+strconv.Itoa(MaxOptions)+" options", "")
		}
	}
	return nil
}

// Closes reports whether the connection ends after this request: because the client wants
// that, or because its lines end as those of no HTTP/1.1 client do.
func (q *Request) Closes() bool {
	return q.Loose || q.Hop.Close || q.Minor == 0 && !q.Hop.KeepAlive
}

// Closes reports whether the upstream ends the connection after this message. That of
// HTTP/1.0 is not used again whatever it says.
func (p *Response) Closes() bool { return p.Hop.Close || p.Minor == 0 }

// Bodiless reports whether the message ends with its head, whatever its fields say
// (RFC 9112, 6.3).
func (p *Response) Bodiless(method string) bool {
	return method == http.MethodHead || p.Status < 200 || p.Status == http.StatusNoContent || p.Status == http.StatusNotModified
}

// cutLine returns the first line of s without its end, and what follows.
func (h *Head) cutLine(s string) (line, rest string, err error) {
	i := strings.IndexByte(s, '\n')
	if i < 0 {
		return "", "", malformed("the head does not end", "")
	}
	line, rest = s[:i], s[i+1:]
	if i > 0 && line[i-1] == '\r' {
		return line[:i-1], rest, nil
	}
	h.Loose = true
	return line, rest, nil
}

// ParseField reads "name: value", without the end of the line. A folded line begins with a
// space, which no name does. Its error is a *Malformed.
func ParseField(line string) (Field, error) {
	name, value, ok := strings.Cut(line, ":")
	if !ok || !ValidName(name) {
		return Field{}, malformed("a header field's name is malformed", line)
	}
	value = strings.Trim(value, " \t")
	if !ValidValue(value) {
		return Field{}, malformed("the value of "+name+" has a character that it may not have", value)
	}
	return Field{textproto.CanonicalMIMEHeaderKey(name), value}, nil
}

// ParseLength reads the value of Content-Length.
func ParseLength(value string) (n int64, ok bool) {
	n, err := strconv.ParseInt(value, 10, 64)
	return n, err == nil && Digits(value)
}

// parseKeepAlive returns the seconds of "timeout=5, max=1000", or 0.
func parseKeepAlive(value string) time.Duration {
	for part := range strings.SplitSeq(value, ",") {
		if n, ok := strings.CutPrefix(strings.TrimSpace(part), "timeout="); ok && len(n) < 9 && Digits(n) {
			seconds, _ := strconv.Atoi(n)
			return time.Duration(seconds) * time.Second
		}
	}
	return 0
}

// AppendField appends a field as it is sent. The name and the value must be valid.
func AppendField(b []byte, name, value string) []byte {
	b = append(b, name...)
	b = append(b, ": "...)
	b = append(b, value...)
	return append(b, CRLF...)
}

// CRLF ends a line.
const CRLF = "\r\n"

// AppendList appends the elements of a comma-separated value (RFC 9110, 5.6.1).
func AppendList(list []string, value string) []string {
	for element := range strings.SplitSeq(value, ",") {
		if element = strings.Trim(element, " \t"); element != "" {
			list = append(list, element)
		}
	}
	return list
}

// HasToken reports whether a list of tokens (RFC 9110, 5.6.1) has one, in any case.
func HasToken(values []string, token string) bool {
	for _, value := range values {
		if strings.EqualFold(value, token) {
			return true
		}
		for element := range strings.SplitSeq(value, ",") {
			if strings.EqualFold(strings.Trim(element, " \t"), token) {
				return true
			}
		}
	}
	return false
}

// Quoted is s for a message to an operator: on one line and not long.
func Quoted(s string) string {
	const most = 60
	if len(s) > most {
		return strconv.Quote(s[:most]) + "..."
	}
	return strconv.Quote(s)
}
