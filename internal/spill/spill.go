// Package spill holds a body as a whole: in memory while it is small, and in a temporary
// file without a name above that, so that nothing is left of it whatever happens.
//
//	body := spill.New(limit)
//	defer body.Free()
//	if err := body.Fill(r); err != nil { ... }
//	err := body.CopyTo(w, body.Size())
//
// Where no temporary file can be written the error is a *failure.Error of kind NoRoom.
package spill

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"sync"

	"github.com/watchdogd/watchdogd/internal/buffers"
	"github.com/watchdogd/watchdogd/internal/failure"
)

// Body is a body that is held as a whole: in memory up to InMemory, and all of it in a
// temporary file above that. The zero Body is empty and without a limit.
type Body struct {
	limit int64 // ErrTooLong above it; 0 is no limit
	size  int64
	mem   []byte
	file  *os.File
}

// InMemory is the size up to which a body is held in memory.
const InMemory = 1 << 20

// ErrTooLong says that a body is larger than its limit.
var ErrTooLong = errors.New("larger than the limit")

// Write appends p.
func (s *Body) Write(p []byte) (int, error) {
	if s.limit > 0 && s.size+int64(len(p)) > s.limit {
		return 0, ErrTooLong
	}
	if s.file == nil && len(s.mem)+len(p) > InMemory {
		if err := s.toFile(); err != nil {
			return 0, err
		}
	}
	if s.file == nil {
		s.mem = append(s.mem, p...)
	} else if _, err := s.file.Write(p); err != nil {
		return 0, NoRoom(err)
	}
	s.size += int64(len(p))
	return len(p), nil
}

// toFile moves what is in memory to a file.
func (s *Body) toFile() error {
	file, err := temporary()
	if err != nil {
		return err
	}
	if _, err := file.Write(s.mem); err != nil {
		_ = file.Close() // nothing is lost that is not lost already
		return NoRoom(err)
	}
	s.file, s.mem = file, s.mem[:0]
	return nil
}

// Fill appends all of r. An error of r is returned as it is.
func (s *Body) Fill(r io.Reader) error {
	buf := buffers.Get()
	defer buffers.Put(buf)
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

// CopyTo writes the first n bytes of the body to w.
func (s *Body) CopyTo(w io.Writer, n int64) error {
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

// rewind makes the file begin at its first byte.
func (s *Body) rewind() error {
	if _, err := s.file.Seek(0, io.SeekStart); err != nil {
		return fmt.Errorf("rewinding a temporary file: %w", err)
	}
	return nil
}

// First is the first n bytes of the body, or all of a smaller one.
func (s *Body) First(n int) []byte {
	if s.file == nil {
		return s.mem[:min(n, len(s.mem))]
	}
	b := make([]byte, n)
	n, _ = s.file.ReadAt(b, 0) // what can be read is enough
	return b[:n]
}

// Section reads n bytes of the body from offset on.
func (s *Body) Section(offset, n int64) *io.SectionReader {
	if s.file == nil {
		return io.NewSectionReader(bytes.NewReader(s.mem), offset, n)
	}
	return io.NewSectionReader(s.file, offset, n)
}

// Size is the number of bytes in the body.
func (s *Body) Size() int64 { return s.size }

// Memory is all of a body that is held in memory; of one in a file, nil and false.
func (s *Body) Memory() ([]byte, bool) { return s.mem, s.file == nil }

// File is the file of a body that is not held in memory, from its first byte on, for
// another process to read; else nil.
func (s *Body) File() (*os.File, error) {
	if s.file == nil {
		return nil, nil
	}
	return s.file, s.rewind()
}

// temporary makes a file without a name in the temporary directory.
func temporary() (*os.File, error) {
	file, err := nameless(os.TempDir())
	if err == nil {
		return file, nil
	}
	if file, err = os.CreateTemp("", "watchdogd-"); err != nil {
		return nil, NoRoom(err)
	}
	if err := os.Remove(file.Name()); err != nil {
		_ = file.Close()
		return nil, NoRoom(err)
	}
	return file, nil
}

// NoRoom is the failure of a call for which no temporary file could be made or written.
func NoRoom(err error) *failure.Error {
	why := err
	if e, ok := errors.AsType[*fs.PathError](err); ok {
		why = e.Err
	}
	return &failure.Error{Kind: failure.NoRoom, Cause: err,
		Detail: fmt.Sprintf("no temporary file could be written in %s: %v; make room there, or set TMPDIR to another folder", os.TempDir(), why)}
}

// Check reports what keeps calls from having temporary files, in one sentence.
func Check() error {
	file, err := temporary()
	if err == nil {
		_, err = file.Write(make([]byte, InMemory)) // the least that goes there
		_ = file.Close()                            // it is gone with it
	}
	if err == nil {
		return nil
	}
	if _, told := errors.AsType[*failure.Error](err); !told {
		err = NoRoom(err)
	}
	return errors.New(failure.Of(err).Detail) // which has the cause in it
}

// bodies keeps the memory of freed bodies for the next ones.
var bodies = sync.Pool{New: func() any { return new(Body) }}

// New returns an empty body that holds at most limit bytes; 0 is no limit.
func New(limit int64) *Body {
	s := bodies.Get().(*Body)
	s.limit = limit
	return s
}

// Free releases the memory and the file. Nothing may use the body any more.
func (s *Body) Free() {
	if s.file != nil {
		_ = s.file.Close() // it has no name, and will not be read
	}
	*s = Body{mem: s.mem[:0]}
	bodies.Put(s)
}
