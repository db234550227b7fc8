package modes

import (
	"encoding/base64"
	"encoding/json"
	"io"
	"strconv"
	"unicode/utf8"

	"github.com/watchdogd/watchdogd/internal/buffers"
	"github.com/watchdogd/watchdogd/internal/spill"
)

// jsonForm makes a form into one JSON object:
//
//	{"name": [{"value": ".."}, {"filename": "..", "type": "..", "size": n, "text": ".."}], ...}
//
// Names stand in the order in which they first came, and the parts of a name in
// theirs. A file has "text" when it is UTF-8, else "base64"; a field that is not
// UTF-8 has "base64" in place of "value". The caller gives the spill back.
func jsonForm(body io.Reader, boundary string) (*spill.Body, error) {
	type stored struct {
		formPart
		offset, size int64
		text         bool
	}
	var names []string
	byName := map[string][]stored{}
	raw := spill.New(0)
	defer raw.Free()
	err := parts(body, boundary, func(p formPart, content io.Reader) error {
		s := stored{formPart: p, offset: raw.Size()}
		text := &utf8Checker{r: content}
		if err := raw.Fill(text); err != nil {
			return err
		}
		s.size, s.text = raw.Size()-s.offset, text.valid()
		if _, there := byName[p.name]; !there {
			names = append(names, p.name)
		}
		byName[p.name] = append(byName[p.name], s)
		return nil
	})
	if err != nil {
		return nil, err
	}

	object := spill.New(0)
	out := &jsonWriter{w: object}
	defer out.close()
	out.raw("{")
	for i, name := range names {
		if i > 0 {
			out.raw(",")
		}
		out.string(name)
		out.raw(":[")
		for j, s := range byName[name] {
			if j > 0 {
				out.raw(",")
			}
			key := "text"
			if s.file {
				out.raw(`{"filename":`)
				out.string(s.filename)
				out.raw(`,"type":`)
				out.string(s.typ)
				out.raw(`,"size":` + strconv.FormatInt(s.size, 10) + `,`)
			} else {
				key = "value"
				out.raw("{")
			}
			if s.text {
				out.raw(`"` + key + `":"`)
				out.text(raw.Section(s.offset, s.size))
			} else {
				out.raw(`"base64":"`)
				out.base64(raw.Section(s.offset, s.size))
			}
			out.raw(`"}`)
		}
		out.raw("]")
	}
	out.raw("}\n")
	if out.flush(); out.err != nil {
		object.Free()
		return nil, out.err
	}
	return object, nil
}

// jsonWriter writes the pieces of a JSON text; the first error stays.
type jsonWriter struct {
	w   io.Writer
	buf *[]byte
	n   int
	err error
}

func (j *jsonWriter) Write(p []byte) (int, error) {
	if j.buf == nil {
		j.buf = buffers.Get()
	}
	total := len(p)
	for len(p) > 0 && j.err == nil {
		if j.n == len(*j.buf) {
			j.flush()
		}
		n := copy((*j.buf)[j.n:], p)
		j.n += n
		p = p[n:]
	}
	return total, j.err
}

func (j *jsonWriter) flush() {
	if j.err == nil && j.n > 0 {
		_, j.err = j.w.Write((*j.buf)[:j.n])
	}
	j.n = 0
}

func (j *jsonWriter) close() {
	if j.buf != nil {
		buffers.Put(j.buf)
	}
}

func (j *jsonWriter) raw(s string) { _, _ = io.WriteString(j, s) } // err stays in j

func (j *jsonWriter) string(s string) {
	b, _ := json.Marshal(s) // a string is always JSON
	_, _ = j.Write(b)       // as above
}

// text writes what r holds, which is UTF-8, as the inside of a JSON string. Only
// ASCII is escaped, so that a piece may end anywhere.
func (j *jsonWriter) text(r io.Reader) {
	const hex = "0123456789abcdef"
	j.each(r, func(p []byte) {
		from := 0
		for i, c := range p {
			if c >= ' ' && c != '"' && c != '\\' && c != 0x7f {
				continue
			}
			_, _ = j.Write(p[from:i]) // err stays in j, here and below
			from = i + 1
			switch c {
			case '"', '\\':
				_, _ = j.Write([]byte{'\\', c})
			case '\n':
				j.raw(`\n`)
			case '\r':
				j.raw(`\r`)
			case '\t':
				j.raw(`\t`)
			default:
				_, _ = j.Write([]byte{'\\', 'u', '0', '0', hex[c>>4], hex[c&15]})
			}
		}
		_, _ = j.Write(p[from:])
	})
}

func (j *jsonWriter) base64(r io.Reader) {
	encoder := base64.NewEncoder(base64.StdEncoding, j)
	j.each(r, func(p []byte) { _, _ = encoder.Write(p) }) // err stays in j
	_ = encoder.Close()                                   // as above
}

func (j *jsonWriter) each(r io.Reader, do func(p []byte)) {
	buf := buffers.Get()
	defer buffers.Put(buf)
	for j.err == nil {
		n, err := r.Read(*buf)
		do((*buf)[:n])
		if err == io.EOF {
			return
		}
		if err != nil {
			j.err = err
		}
	}
}

// utf8Checker learns whether what is read through it is UTF-8.
type utf8Checker struct {
	r    io.Reader
	rest []byte // the beginning of a character
	bad  bool
}

func (u *utf8Checker) Read(p []byte) (int, error) {
	n, err := u.r.Read(p)
	if !u.bad {
		u.check(p[:n])
	}
	return n, err
}

func (u *utf8Checker) check(p []byte) {
	for len(u.rest) > 0 && len(p) > 0 {
		u.rest = append(u.rest, p[0])
		p = p[1:]
		if utf8.FullRune(u.rest) {
			if !utf8.Valid(u.rest) {
				u.bad = true
				return
			}
			u.rest = u.rest[:0]
		}
	}
	tail := len(p)
	for back := 1; back < utf8.UTFMax && back <= len(p); back++ {
		if utf8.RuneStart(p[len(p)-back]) {
			if !utf8.FullRune(p[len(p)-back:]) {
				tail = len(p) - back
			}
			break
		}
	}
	u.bad = !utf8.Valid(p[:tail])
	u.rest = append(u.rest, p[tail:]...)
}

func (u *utf8Checker) valid() bool { return !u.bad && len(u.rest) == 0 }
