package modes

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"mime"
	"mime/multipart"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/watchdogd/watchdogd/internal/failure"
	"github.com/watchdogd/watchdogd/supervisor"
)

// A multipart/form-data request of a route with form: json or form: files is read
// here before its program is started, part by part, and never as a whole into memory.

// formBoundary gives the boundary of r's multipart/form-data, or "" when r is something
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
	file     bool   // it has a filename, which may be empty: a file input left blank
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

// fileName is the last part of a path that a caller, of whatever system, gave as the
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
// it is no form.
func (r *remembering) explain(err error) error {
	if r.err != nil {
		return r.err
	}
	if errors.Is(err, multipart.ErrMessageTooLarge) {
		return &failure.Error{Kind: failure.BodyTooLarge, Detail: "the head of a part of the form has too many fields", Cause: err}
	}
	return malformedForm("it is not as multipart/form-data should be", err)
}

// partReader reads one part; its errors are those that parts gives.
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

// jsonForm makes a form into one JSON object:
//
//	{"name": [{"value": ".."}, {"filename": "..", "type": "..", "size": n, "text": ".."}], ...}
//
// Names stand in the order in which they first came, and the parts of a name in
// theirs. A file has "text" when it is UTF-8, else "base64"; a field that is not
// UTF-8 has "base64" in place of "value". The caller gives the spill back.
func jsonForm(body io.Reader, boundary string) (*spill, error) {
	type stored struct {
		formPart
		offset, size int64
		text         bool
	}
	var names []string
	byName := map[string][]stored{}
	raw := newSpill(0)
	defer raw.giveBack()
	err := parts(body, boundary, func(p formPart, content io.Reader) error {
		s := stored{formPart: p, offset: raw.size}
		text := &utf8Checker{r: content}
		if err := raw.fill(text); err != nil {
			return err
		}
		s.size, s.text = raw.size-s.offset, text.valid()
		if _, there := byName[p.name]; !there {
			names = append(names, p.name)
		}
		byName[p.name] = append(byName[p.name], s)
		return nil
	})
	if err != nil {
		return nil, err
	}

	object := newSpill(0)
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
				out.text(raw.section(s.offset, s.size))
			} else {
				out.raw(`"base64":"`)
				out.base64(raw.section(s.offset, s.size))
			}
			out.raw(`"}`)
		}
		out.raw("]")
	}
	out.raw("}\n")
	if out.flush(); out.err != nil {
		object.giveBack()
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
		j.buf = getBuffer()
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
		putBuffer(j.buf)
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
	buf := getBuffer()
	defer putBuffer(buf)
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

// filesForm makes a form into files in a directory of its own, mode 0700, that
// belongs to owner. A part is named as its filename, a field as its name; what is
// there already gets a number. remove takes the directory away.
//
// The variables are FORM_DIR, the directory; and for a part called name FORM_name,
// with _ for each character that a shell would not take: a field's value, a file's
// path, nothing for a file input left blank. The second part of the same name is
// FORM_name_2, and so on.
func filesForm(body io.Reader, boundary string, owner *fileOwner) (vars []string, remove func(), err error) {
	dir, err := supervisor.TempDir()
	if err != nil {
		return nil, nil, noRoom(err)
	}
	defer func() {
		if err != nil {
			removeAll(dir)
		}
	}()
	if err := owner.own(dir); err != nil {
		return nil, nil, err
	}
	f := formFiles{dir: dir, owner: owner, vars: []string{"FORM_DIR=" + dir}, variables: taken{"FORM_DIR": 1}, names: taken{}}
	if err := parts(body, boundary, f.add); err != nil {
		return nil, nil, err
	}
	return f.vars, func() { removeAll(dir) }, nil
}

// formFiles is a form that is being stored.
type formFiles struct {
	dir       string
	owner     *fileOwner
	vars      []string
	size      int // of vars
	variables taken
	names     taken // of files
}

// add stores one part.
func (f *formFiles) add(p formPart, content io.Reader) error {
	variable := f.variable(p.name)
	if p.file && p.filename == "" {
		n, err := io.Copy(io.Discard, content)
		if n == 0 && err == nil {
			return f.set(variable, "")
		}
		if err != nil {
			return err
		}
		return malformedForm("a file has no name", nil)
	}
	name := p.filename
	if !p.file {
		name = fileName(strings.NewReplacer("/", "_", `\`, "_").Replace(p.name))
	}
	file, err := f.create(name)
	if err != nil {
		return err
	}
	defer file.Close() // after an error of writing, which is returned
	value := &prefix{limit: maxVar}
	if p.file {
		value.limit = 0
	}
	buf := getBuffer()
	defer putBuffer(buf)
	if _, err := io.CopyBuffer(io.MultiWriter(onlyWriter{file}, value), content, *buf); err != nil {
		return storing(err)
	}
	if err := file.Close(); err != nil {
		return storing(err)
	}
	if p.file {
		return f.set(variable, file.Name())
	}
	return f.set(variable, string(value.b))
}

// set adds a variable.
func (f *formFiles) set(variable, value string) error {
	if strings.IndexByte(value, 0) >= 0 {
		return malformedForm("a field's value holds a NUL byte, which no variable can carry", nil)
	}
	f.size += len(variable) + len(value) + 2
	if len(variable)+len(value)+2 > maxVar || f.size > maxFormVars {
		return &failure.Error{Kind: failure.BodyTooLarge, Detail: "the form's fields are more than a program's environment can carry"}
	}
	f.vars = append(f.vars, variable+"="+value)
	return nil
}

// maxFormVars is what all variables of a form may have together: a quarter of what
// Linux gives to arguments and environment by default.
const maxFormVars = 512 << 10

// variable finds a free name for the part called name.
func (f *formFiles) variable(name string) string {
	b := []byte("FORM_" + name[:min(len(name), 200)])
	for i, c := range b {
		if !('a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9') {
			b[i] = '_'
		}
	}
	return f.variables.next(string(b), func(n int) string { return string(b) + "_" + strconv.Itoa(n) })
}

// create makes a new file called name, or name with a number.
func (f *formFiles) create(name string) (*os.File, error) {
	if name == "" {
		name = "_"
	}
	extension := filepath.Ext(name)
	stem := strings.TrimSuffix(name, extension)
	for {
		free := f.names.next(name, func(n int) string { return stem + "-" + strconv.Itoa(n) + extension })
		file, err := os.OpenFile(filepath.Join(f.dir, free), os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
		if errors.Is(err, fs.ErrExist) { // where a and A are one
			continue
		}
		if err != nil {
			return nil, storing(err)
		}
		if err := f.owner.own(file.Name()); err != nil {
			_ = file.Close() // empty
			return nil, err
		}
		return file, nil
	}
}

// taken holds the names that are in use, each with the last number that was given
// to its like.
type taken map[string]int

// next takes name, or if another has it the first of nth(2), nth(3) and so on that
// is free.
func (t taken) next(name string, nth func(n int) string) string {
	free := name
	for n := max(t[name], 1); ; n++ {
		if n > 1 {
			free = nth(n)
		}
		if t[free] == 0 {
			t[free] = 1
			t[name] = n
			return free
		}
	}
}

// storing says where an error of the file system came from; the errors of the form
// itself stay what they are.
func storing(err error) error {
	if _, ok := errors.AsType[*fs.PathError](err); ok {
		return noRoom(err)
	}
	return err
}

// fileOwner is who the files of a form belong to; nil is ourselves.
type fileOwner struct{ uid, gid int }

func (o *fileOwner) own(path string) error {
	if o == nil {
		return nil
	}
	if err := os.Lchown(path, o.uid, o.gid); err != nil {
		return fmt.Errorf("giving a form's files to the route's user: %w", err)
	}
	return nil
}

// removeAll takes dir away, whatever a program made of it.
func removeAll(dir string) {
	if os.RemoveAll(dir) == nil {
		return
	}
	_ = filepath.WalkDir(dir, func(path string, d fs.DirEntry, _ error) error {
		if d != nil && d.IsDir() {
			_ = os.Chmod(path, 0o700) // a directory that its program closed
		}
		return nil
	})
	_ = os.RemoveAll(dir) // another's files, which a program left there, are not ours to take
}

// prefix keeps the first bytes that are written to it.
type prefix struct {
	b     []byte
	limit int
}

func (p *prefix) Write(b []byte) (int, error) {
	p.b = append(p.b, b[:min(len(b), p.limit-len(p.b))]...)
	return len(b), nil
}

// onlyWriter hides all that a writer can do besides.
type onlyWriter struct{ io.Writer }
