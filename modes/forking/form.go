package forking

import (
	"errors"
	"fmt"
	"io"
	"mime"
	"mime/multipart"
	"net/http"
	"strings"
	"unicode/utf8"

	"github.com/watchdogd/watchdogd/internal/failure"
)

// A multipart/form-data request of a route with form: json or form: files is read
// here before its program is started, part by part, and never as a whole into memory.

// formBoundary returns the boundary of r's multipart/form-data, or "" when r is something
// else. One that names no valid boundary is an error of kind Malformed.
func formBoundary(r *http.Request) (string, error) {
	value := r.Header.Get("Content-Type")
	kind, params, err := mime.ParseMediaType(value)
	if err != nil {
		kind, _, _ = strings.Cut(value, ";")
		kind = strings.ToLower(strings.TrimSpace(kind))
	}
	if kind != "multipart/form-data" {
		return "", nil
	}
	boundary := params["boundary"]
	if err != nil || boundary == "" || len(boundary) > 70 {
		return "", malformedForm("its Content-Type names no valid boundary", err)
	}
	return boundary, nil
}

// The bounds of what is kept of a form besides its contents, which are spilled.
const (
	maxParts    = 1000     // as in the standard library
	maxPartHead = 64 << 10 // bytes of the head of one part
	maxHeads    = 1 << 20  // bytes of the names, file names and types of all parts
)

// formPart is one part of a form, as its head describes it.
type formPart struct {
	name     string
	file     bool   // it has a filename, which may be empty: a file input left empty
	filename string // no path, no control characters
	typ      string
}

// parts calls each for every part of a form in order. body is read to the form's end.
func parts(body io.Reader, boundary string, each func(p formPart, content io.Reader) error) error {
	source := &remembering{r: body}
	form := multipart.NewReader(source, boundary)
	heads := 0
	for n := 0; ; n++ {
		source.head, source.left = true, maxPartHead
		raw, err := form.NextPart()
		source.head = false
		if err == io.EOF && source.err == nil {
			return nil
		}
		if err != nil {
			return source.explain(err)
		}
		if n == maxParts {
			return &failure.Error{Kind: failure.BodyTooLarge, Detail: fmt.Sprintf("the form has more than %d parts", maxParts)}
		}
		p, err := describe(raw)
		if err != nil {
			return err
		}
		if heads += len(p.name) + len(p.filename) + len(p.typ); heads > maxHeads {
			return &failure.Error{Kind: failure.BodyTooLarge, Detail: fmt.Sprintf("the names of the form's parts are more than %d MiB", maxHeads>>20)}
		}
		if err := each(p, &partReader{raw, source}); err != nil {
			return err
		}
	}
}

// describe reads the head of a part.
func describe(raw *multipart.Part) (formPart, error) {
	disposition, params, err := mime.ParseMediaType(raw.Header.Get("Content-Disposition"))
	if err != nil || disposition != "form-data" {
		return formPart{}, malformedForm("a part has no valid Content-Disposition", err)
	}
	// Each is a part of a head that need not be kept for it.
	p := formPart{name: strings.Clone(params["name"]), typ: strings.Clone(raw.Header.Get("Content-Type"))}
	if p.name == "" {
		return formPart{}, malformedForm("a part has no name", nil)
	}
	if !utf8.ValidString(p.name) {
		return formPart{}, malformedForm("a part's name is not UTF-8", nil)
	}
	p.filename, p.file = params["filename"]
	p.filename = strings.Clone(fileName(p.filename))
	if p.file && p.typ == "" {
		p.typ = "application/octet-stream"
	}
	return p, nil
}

// fileName is the last part of a path that a client, of whatever system, sent as the
// name of a file, without what a name should not hold. It is "" for a name that is
// nothing but path.
func fileName(s string) string {
	s = strings.ToValidUTF8(s, "_")
	if i := strings.LastIndexAny(s, `/\`); i >= 0 {
		s = s[i+1:]
	}
	s = strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return '_'
		}
		return r
	}, s)
	if s == "." || s == ".." {
		return ""
	}
	for len(s) > 200 { // a file system takes 255 bytes, and we may add a number
		_, size := utf8.DecodeLastRuneInString(s)
		s = s[:len(s)-size]
	}
	return s
}

// remembering keeps the error with which a body ended, which a parser may hide. While
// the head of a part is read, it bounds what the parser may gather.
type remembering struct {
	r    io.Reader
	err  error
	head bool
	left int // of head
}

func (r *remembering) Read(p []byte) (int, error) {
	if r.head {
		if r.left == 0 {
			r.err = &failure.Error{Kind: failure.BodyTooLarge, Detail: fmt.Sprintf("the head of a part of the form is more than %d KiB", maxPartHead>>10)}
			return 0, r.err
		}
		p = p[:min(len(p), r.left)]
	}
	n, err := r.r.Read(p)
	if r.head {
		r.left -= n
	}
	if err != nil && err != io.EOF {
		r.err = err
	}
	return n, err
}

// explain is what went wrong while a form was parsed: the body could not be read, or
// it is not a form.
func (r *remembering) explain(err error) error {
	if r.err != nil {
		return r.err
	}
	if errors.Is(err, multipart.ErrMessageTooLarge) {
		return &failure.Error{Kind: failure.BodyTooLarge, Detail: "the head of a part of the form has too many fields", Cause: err}
	}
	return malformedForm("it is not valid multipart/form-data", err)
}

// partReader reads one part; its errors are those of parts.
type partReader struct {
	part   *multipart.Part
	source *remembering
}

func (p *partReader) Read(b []byte) (int, error) {
	n, err := p.part.Read(b)
	if err != nil && err != io.EOF {
		err = p.source.explain(err)
	}
	return n, err
}

func malformedForm(what string, cause error) error {
	return &failure.Error{Kind: failure.Malformed, Detail: "the form cannot be read: " + what, Cause: cause}
}
