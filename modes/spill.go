package modes

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"sync"

	"github.com/watchdogd/watchdogd/internal/failure"
	"github.com/watchdogd/watchdogd/schema"
)

// spill is a body that is held as a whole: in memory up to inMemory, and all of it
// in a temporary file above that. The file has no name, so that nothing is left of
// it whatever happens. The zero spill is empty; Close gives everything back.
type spill struct {
	limit int64 // errTooLong above it; 0 is no limit
	size  int64
	mem   []byte
	file  *os.File
}

// inMemory is how much of a body is held in memory.
const inMemory = 1 << 20

// errTooLong says that a body is larger than the spill's limit.
var errTooLong = errors.New("larger than the limit")

// Write appends p.
func (s *spill) Write(p []byte) (int, error) {
	if s.limit > 0 && s.size+int64(len(p)) > s.limit {
		return 0, errTooLong
	}
	if s.file == nil && len(s.mem)+len(p) > inMemory {
		if err := s.toFile(); err != nil {
			return 0, err
		}
	}
	if s.file == nil {
		s.mem = append(s.mem, p...)
	} else if _, err := s.file.Write(p); err != nil {
		return 0, noRoom(err)
	}
	s.size += int64(len(p))
	return len(p), nil
}

// toFile moves what is in memory to a file.
func (s *spill) toFile() error {
	file, err := temporary()
	if err != nil {
		return err
	}
	if _, err := file.Write(s.mem); err != nil {
		_ = file.Close() // nothing is lost that is not lost already
		return noRoom(err)
	}
	s.file, s.mem = file, s.mem[:0]
	return nil
}

// fill appends all of r. An error of r is returned as it is.
func (s *spill) fill(r io.Reader) error {
	buf := getBuffer()
	defer putBuffer(buf)
	for {
		n, err := r.Read(*buf)
		if n > 0 {
			if _, err := s.Write((*buf)[:n]); err != nil {
				return err
			}
		}
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

// copyTo writes the first n bytes of the body to w.
func (s *spill) copyTo(w io.Writer, n int64) error {
	if s.file == nil {
		_, err := w.Write(s.mem[:n])
		return err
	}
	if err := s.rewind(); err != nil {
		return err
	}
	_, err := io.CopyN(w, s.file, n) // by sendfile, where w is a connection
	return err
}

// rewind makes the file, as another reads it, begin at its first byte.
func (s *spill) rewind() error {
	if _, err := s.file.Seek(0, io.SeekStart); err != nil {
		return fmt.Errorf("rewinding a temporary file: %w", err)
	}
	return nil
}

// first is the first n bytes of the body, or all of a smaller one.
func (s *spill) first(n int) []byte {
	if s.file == nil {
		return s.mem[:min(n, len(s.mem))]
	}
	b := make([]byte, n)
	n, _ = s.file.ReadAt(b, 0) // what can be read is enough
	return b[:n]
}

// section reads n bytes of the body from offset on.
func (s *spill) section(offset, n int64) *io.SectionReader {
	if s.file == nil {
		return io.NewSectionReader(bytes.NewReader(s.mem), offset, n)
	}
	return io.NewSectionReader(s.file, offset, n)
}

// Close gives the memory and the file back. s is then empty.
func (s *spill) Close() error {
	if s.file != nil {
		_ = s.file.Close() // it has no name, and nobody will read it
	}
	*s = spill{limit: s.limit, mem: s.mem[:0]}
	return nil
}

// temporary makes a file without a name in the temporary directory.
func temporary() (*os.File, error) {
	file, err := nameless(os.TempDir())
	if err == nil {
		return file, nil
	}
	if file, err = os.CreateTemp("", "watchdogd-"); err != nil {
		return nil, noRoom(err)
	}
	if err := os.Remove(file.Name()); err != nil {
		_ = file.Close()
		return nil, noRoom(err)
	}
	return file, nil
}

// noRoom is the failure of a call for which no temporary file could be made or written.
func noRoom(err error) *failure.Error {
	why := err
	if e, ok := errors.AsType[*fs.PathError](err); ok {
		why = e.Err
	}
	return &failure.Error{Kind: failure.NoRoom, Cause: err,
		Detail: fmt.Sprintf("no temporary file could be written in %s: %v; make room there, or set TMPDIR to another folder", os.TempDir(), why)}
}

// Spills reports whether calls of route may need temporary files: a body that is held as a
// whole, or the files of a form.
func Spills(route *schema.Route) bool {
	return route.Mode == schema.Serializing || route.Mode == schema.Afterburn ||
		route.BufferBody || route.Form != "" || route.Request == "json"
}

// CheckTemporary reports what keeps calls from having temporary files, in one sentence.
func CheckTemporary() error {
	file, err := temporary()
	if err == nil {
		_, err = file.Write(make([]byte, inMemory)) // the least that goes there
		_ = file.Close()                            // it is gone with it
	}
	if err != nil {
		return noRoom(err)
	}
	return nil
}

// spills keeps the memory of closed spills for the next ones.
var spills = sync.Pool{New: func() any { return new(spill) }}

// newSpill gives an empty spill; giveBack closes it.
func newSpill(limit int64) *spill {
	s := spills.Get().(*spill)
	s.limit = limit
	return s
}

func (s *spill) giveBack() {
	_ = s.Close() // it has no error to give
	spills.Put(s)
}

// bufferSize is how much is passed on at a time: half of what a pipe holds.
const bufferSize = 32 << 10

var buffers = sync.Pool{New: func() any { b := make([]byte, bufferSize); return &b }}

func getBuffer() *[]byte  { return buffers.Get().(*[]byte) }
func putBuffer(b *[]byte) { buffers.Put(b) }
