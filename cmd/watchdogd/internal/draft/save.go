package draft

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// Save writes text to a new file: all of it, or nothing. A file that exists is an error.
func Save(path string, text []byte) error {
	if _, err := os.Lstat(path); err == nil {
		return exists(path)
	}
	f, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".*")
	if err != nil {
		return fmt.Errorf("write %s: %w", path, cause(err))
	}
	defer os.Remove(f.Name()) // it has its name by then, or is not wanted
	_, err = f.Write(text)
	err = errors.Join(err, f.Chmod(0o644), f.Close())
	if err == nil {
		err = os.Link(f.Name(), path) // unlike a rename, it replaces nothing
	}
	switch {
	case errors.Is(err, fs.ErrExist):
		return exists(path)
	case err != nil:
		return fmt.Errorf("write %s: %w", path, cause(err))
	}
	return nil
}

func exists(path string) error {
	return fmt.Errorf("%s exists already and is not overwritten; move it, or write to another file", path)
}

// cause is err without the names of temporary files.
func cause(err error) error {
	if p, ok := errors.AsType[*fs.PathError](err); ok {
		return p.Err
	}
	if l, ok := errors.AsType[*os.LinkError](err); ok {
		return l.Err
	}
	return err
}
