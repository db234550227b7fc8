// Package requests reads the requests of a requests.txt, sends them, and says how the answers
// differ from what the file says.
//
// A request is a request line and headers, an empty line and a body if there is one, the status
// alone on a line, and lines that the answer must hold in its headers or its body. An empty
// line ends it. A line that begins with # is a comment.
//
//	POST /upper
//	Content-Type: text/plain
//
//	hello
//	200
//	HELLO
package requests

import (
	"fmt"
	"net/http"
	"strconv"
	"strings"

	"golang.org/x/net/http/httpguts"

	"github.com/watchdogd/watchdogd/internal/regular"
)

const (
	mostBytes    = 4 << 20 // of a file
	mostRequests = 10_000
	mostMistakes = 20
)

// File is a requests.txt.
type File struct {
	Name     string
	Requests []*Request

	lines []string // without their ends
	crlf  bool
}

// Request is one request, and what its answer must be.
type Request struct {
	Line   int // of the request line, from 1
	Method string
	Target string // as it is sent
	Host   string
	Header http.Header
	Body   string
	Status int // 0 where the file ends before it
	Want   []Want

	statusAt int // the index of the line of the status; behind the request if there is none
}

// Want is a line that the answer must hold.
type Want struct {
	Line int
	Text string
}

// Mistake is one in a requests.txt.
type Mistake struct {
	File    string
	Line    int
	Message string
}

func (m Mistake) String() string { return fmt.Sprintf("%s:%d: %s", m.File, m.Line, m.Message) }

// Mistakes is the error of a file that has some.
type Mistakes []Mistake

func (m Mistakes) Error() string {
	var lines []string
	for _, one := range m {
		lines = append(lines, one.String())
	}
	return strings.Join(lines, "\n")
}

// Read reads a regular file of at most 4 MiB. An error that is Mistakes lists all of them.
func Read(name string) (*File, error) {
	text, err := regular.ReadFile(name)
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", name, err)
	}
	if len(text) > mostBytes {
		return nil, fmt.Errorf("%s is larger than %d MiB", name, mostBytes>>20)
	}
	return Parse(name, string(text))
}

// Parse is Read for text that is there already.
func Parse(name, text string) (*File, error) {
	f := &File{Name: name, lines: strings.Split(text, "\n")}
	for i, line := range f.lines {
		if cut, ok := strings.CutSuffix(line, "\r"); ok {
			f.lines[i], f.crlf = cut, true
		}
	}
	p := parser{file: f}
	for i, line := range f.lines {
		if len(p.mistakes) >= mostMistakes || len(f.Requests) > mostRequests {
			break
		}
		if !strings.HasPrefix(line, "#") {
			p.line(i, line)
		}
	}
	p.end()
	if len(f.Requests) > mostRequests {
		p.mistake(f.Requests[mostRequests].Line, "there are more than %d requests", mostRequests)
	}
	if len(p.mistakes) == 0 && len(f.Requests) == 0 {
		p.mistake(1, "there is no request; write one such as \"GET /\" and below it the status that it gets, such as 200")
	}
	if len(p.mistakes) > 0 {
		return nil, p.mistakes
	}
	return f, nil
}

// parser reads line by line.
type parser struct {
	file     *File
	in       part
	now      *Request
	body     []string
	mistakes Mistakes
}

// part is the part of a request that a line belongs to.
type part int

const (
	between part = iota
	inHead
	inBody
	inAnswer
)

func (p *parser) mistake(line int, format string, args ...any) {
	p.mistakes = append(p.mistakes, Mistake{p.file.Name, line, fmt.Sprintf(format, args...)})
}

func (p *parser) line(i int, line string) {
	status, isStatus := statusOf(line)
	switch {
	case p.in == between && line == "":
	case p.in == between:
		p.requestLine(i, line)
	case p.in == inAnswer && line == "":
		p.end()
	case p.in == inAnswer:
		p.now.Want = append(p.now.Want, Want{i + 1, line})
	case isStatus:
		p.now.Status, p.now.statusAt, p.in = status, i, inAnswer
		if status < 200 && status != http.StatusSwitchingProtocols || status > 599 {
			p.mistake(i+1, "%d is not the status of an answer; it is 101 or 200 to 599", status)
		}
	case p.in == inHead && line == "":
		p.in = inBody
	case p.in == inHead:
		p.header(i, line)
	default:
		p.body = append(p.body, line)
	}
}

// statusOf is the status that a line of three digits is.
func statusOf(line string) (int, bool) {
	n, err := strconv.Atoi(line)
	return n, err == nil && len(line) == 3 && n >= 100
}

func (p *parser) requestLine(i int, line string) {
	method, target, found := strings.Cut(line, " ")
	p.now = &Request{Line: i + 1, Method: method, Target: target, Header: http.Header{}}
	p.in, p.body = inHead, nil
	p.file.Requests = append(p.file.Requests, p.now)
	switch {
	case !found || !httpguts.ValidHeaderFieldName(method) || method != strings.ToUpper(method):
		p.mistake(i+1, "%s is not a request line; write one such as \"GET /path\"", quoted(line))
	case strings.HasSuffix(target, " HTTP/1.1") || strings.HasSuffix(target, " HTTP/1.0"):
		p.mistake(i+1, "write the request line without its HTTP version: %s", quoted(method+" "+target[:len(target)-len(" HTTP/1.1")]))
	case target != "*" && !strings.HasPrefix(target, "/") || strings.ContainsFunc(target, func(r rune) bool { return r <= ' ' || r == 0x7f }):
		p.mistake(i+1, "%s is not a path; it begins with / and has no spaces (%%20 is one)", quoted(target))
	}
}

func (p *parser) header(i int, line string) {
	name, value, found := strings.Cut(line, ":")
	value = strings.TrimSpace(value)
	switch {
	case !found || !httpguts.ValidHeaderFieldName(name):
		p.mistake(i+1, "%s is not a header; write \"Name: value\", an empty line before a body, or the status of the answer", quoted(line))
	case !httpguts.ValidHeaderFieldValue(value):
		p.mistake(i+1, "the value of %s has a control character", name)
	case strings.EqualFold(name, "Host"):
		p.now.Host = value
	case strings.EqualFold(name, "Content-Length"), strings.EqualFold(name, "Transfer-Encoding"), strings.EqualFold(name, "Connection"):
		p.mistake(i+1, "%s is set for you; remove the line", name)
	default:
		p.now.Header.Add(name, value)
	}
}

// end ends the request that is being read, if there is one.
func (p *parser) end() {
	if p.in == between {
		return
	}
	if p.now.Status == 0 {
		p.now.statusAt = len(p.file.lines)
	}
	for p.now.Status == 0 && len(p.body) > 0 && p.body[len(p.body)-1] == "" {
		p.body = p.body[:len(p.body)-1]
	}
	p.now.Body = strings.Join(p.body, "\n")
	p.in = between
}

// Unanswered returns the mistakes of requests whose status is missing, which can only be the
// last. Update writes it.
func (f *File) Unanswered() error {
	for _, r := range f.Requests {
		if r.Status == 0 {
			return Mistakes{{f.Name, r.Line, "the request has no status; write the one that it gets below it, such as 200, or let --update write its answer"}}
		}
	}
	return nil
}

// quoted shows a text of the file, which may be long.
func quoted(s string) string {
	if len(s) > 60 {
		s = s[:60] + "..."
	}
	return strconv.Quote(s)
}
