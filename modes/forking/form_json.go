package forking

import (
	"bufio"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"strconv"
	"strings"
	"sync"
	"unicode/utf8"

	"github.com/watchdogd/watchdogd/internal/buffers"
	"github.com/watchdogd/watchdogd/internal/spill"
)

// jsonForm makes a form into one JSON object:
//
//	{"name": [{"value": ".."}, {"filename": "..", "type": "..", "size": n, "text": ".."}], ...}
//
// Names stand in the order in which they first came, and the parts of a name in theirs. A
// file has "text" when it is UTF-8, else "base64"; a field that is not UTF-8 has "base64" in
// place of "value". The caller frees the body.
func jsonForm(body io.Reader, boundary string) (*spill.Body, error) {
	f := jsonParts{byName: map[string][]jsonPart{}, contents: spill.New(0)}
	defer f.contents.Free()
	if err := parts(body, boundary, f.add); err != nil {
		return nil, err
	}
	return jsonText(f.write)
}

// jsonParts are the parts of a form, in one body one after the other.
type jsonParts struct {
	names    []string // in the order in which they first came
	byName   map[string][]jsonPart
	contents *spill.Body
}

// jsonPart is one of them.
type jsonPart struct {
	formPart
	offset, size int64 // of its content
}

// add stores one part.
func (f *jsonParts) add(p formPart, content io.Reader) error {
	offset := f.contents.Size()
	if err := f.contents.Fill(content); err != nil {
		return err
	}
	if _, there := f.byName[p.name]; !there {
		f.names = append(f.names, p.name)
	}
	f.byName[p.name] = append(f.byName[p.name], jsonPart{p, offset, f.contents.Size() - offset})
	return nil
}

// write writes the object.
func (f *jsonParts) write(out *jsonWriter) error {
	out.raw("{")
	for i, name := range f.names {
		if i > 0 {
			out.raw(",")
		}
		out.string(name)
		out.raw(":[")
		for j, p := range f.byName[name] {
			if j > 0 {
				out.raw(",")
			}
			if err := f.writePart(out, p); err != nil {
				return err
			}
		}
		out.raw("]")
	}
	out.raw("}\n")
	return nil
}

func (f *jsonParts) writePart(out *jsonWriter, p jsonPart) error {
	key := "value"
	out.raw("{")
	if p.file {
		key = "text"
		out.raw(`"filename":`)
		out.string(p.filename)
		out.raw(`,"type":`)
		out.string(p.typ)
		out.raw(`,"size":` + strconv.FormatInt(p.size, 10) + `,`)
	}
	write := out.text
	if !isText(f.contents.Section(p.offset, p.size)) {
		key, write = "base64", out.base64
	}
	out.raw(`"` + key + `":"`)
	if err := write(f.contents.Section(p.offset, p.size)); err != nil {
		return err
	}
	out.raw(`"}`)
	return nil
}

// isText reports whether all of r is UTF-8.
func isText(r io.Reader) bool {
	for in := bufio.NewReader(r); ; {
		c, size, err := in.ReadRune()
		if err != nil {
			return err == io.EOF
		}
		if c == utf8.RuneError && size == 1 {
			return false
		}
	}
}

// jsonText returns what write writes. The caller frees it.
func jsonText(write func(*jsonWriter) error) (*spill.Body, error) {
	body := spill.New(0)
	out := &jsonWriter{bufio.NewWriter(body)}
	err := write(out)
	if err == nil {
		err = out.Flush()
	}
	if err != nil {
		body.Free()
		return nil, err
	}
	return body, nil
}

// jsonWriter writes the pieces of a JSON text. An error of writing is Flush's, too.
type jsonWriter struct{ *bufio.Writer }

func (j *jsonWriter) raw(s string) { _, _ = j.WriteString(s) }

func (j *jsonWriter) string(s string) {
	b, _ := json.Marshal(s) // a string is always JSON
	_, _ = j.Write(b)
}

// text writes what r holds, which is UTF-8, as the inside of a JSON string.
func (j *jsonWriter) text(r io.Reader) error { return pass(escaped{j}, r) }

// base64 writes what r holds as the inside of a JSON string.
func (j *jsonWriter) base64(r io.Reader) error {
	encoder := base64.NewEncoder(base64.StdEncoding, j)
	if err := pass(encoder, r); err != nil {
		return err
	}
	return encoder.Close()
}

// pass copies r to w.
func pass(w io.Writer, r io.Reader) error {
	buf := buffers.Get()
	defer buffers.Put(buf)
	_, err := io.CopyBuffer(onlyWriter{w}, onlyReader{r}, *buf)
	return err
}

// escaped is the inside of a JSON string. Only ASCII is escaped, so that a piece of text may
// end anywhere.
type escaped struct{ w io.Writer }

func (e escaped) Write(p []byte) (int, error) {
	if _, err := jsonEscapes().WriteString(e.w, string(p)); err != nil {
		return 0, err
	}
	return len(p), nil
}

// jsonEscapes writes the inside of a JSON string.
var jsonEscapes = sync.OnceValue(func() *strings.Replacer {
	pairs := []string{`"`, `\"`, `\`, `\\`, "\n", `\n`, "\r", `\r`, "\t", `\t`, "\x7f", `\u007f`}
	for c := range ' ' {
		if !strings.ContainsRune("\n\r\t", c) {
			pairs = append(pairs, string(c), fmt.Sprintf(`\u%04x`, c))
		}
	}
	return strings.NewReplacer(pairs...)
})

// onlyWriter and onlyReader hide all that a writer and a reader can do besides.
type (
	onlyWriter struct{ io.Writer }
	onlyReader struct{ io.Reader }
)
