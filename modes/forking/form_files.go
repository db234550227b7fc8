package forking

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/watchdogd/watchdogd/internal/buffers"
	"github.com/watchdogd/watchdogd/internal/failure"
	"github.com/watchdogd/watchdogd/internal/spill"
	"github.com/watchdogd/watchdogd/supervisor/child"
)

// filesForm makes a form into files in a directory of its own, mode 0700, that
// belongs to owner. A part is named as its filename, a field as its name; what is
// there already gets a number. remove takes the directory away.
//
// The variables are FORM_DIR, the directory; and for a part called name FORM_name,
// with _ for each character that a shell would not take: a field's value, a file's
// path, nothing for a file input left empty. The second part of the same name is
// FORM_name_2, and so on.
func filesForm(body io.Reader, boundary string, owner *fileOwner) (vars []string, remove func(), err error) {
	dir, err := child.TempDir()
	if err != nil {
		return nil, nil, spill.NoRoom(err)
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
	buf := buffers.Get()
	defer buffers.Put(buf)
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
// Linux allows for arguments and environment by default.
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
		return spill.NoRoom(err)
	}
	return err
}

// fileOwner is the user and group of a form's files; nil stands for our own.
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
