// Package regular reads whole files that must be regular ones.
package regular

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"syscall"
)

// MaxFile is the size in bytes of the largest file that is read whole: the
// configuration and what it includes, an env_file, a certificate and its key.
const MaxFile = 16 << 20

// ReadFile reads a file that the configuration or the command line names. It must be a
// regular file, or a link to one, of at most MaxFile bytes: a pipe would wait for a
// writer, and a device has no end. The error says what is wrong without the file's name,
// which the caller knows.
func ReadFile(name string) ([]byte, error) {
	info, err := os.Stat(name) // before it is opened, which to a device may be a command
	if err != nil {
		return nil, bare(err)
	}
	if err := readable(info); err != nil {
		return nil, err
	}
	f, err := os.OpenFile(name, os.O_RDONLY|syscall.O_NONBLOCK, 0) // a pipe may have taken its place
	if err != nil {
		return nil, bare(err)
	}
	defer f.Close()
	if info, err = f.Stat(); err == nil {
		err = readable(info)
	}
	if err != nil {
		return nil, bare(err)
	}
	data, err := io.ReadAll(io.LimitReader(f, MaxFile+1))
	if err != nil {
		return nil, bare(err)
	}
	if len(data) > MaxFile { // it grew, or is one of /proc, which have no size
		return nil, errTooLarge
	}
	return data, nil
}

var errTooLarge = fmt.Errorf("it is larger than %d MiB", MaxFile>>20)

// readable reports what keeps a file from being read whole.
func readable(info fs.FileInfo) error {
	mode := info.Mode()
	switch {
	case mode.IsDir():
		return errors.New("it is a directory, not a file")
	case mode&fs.ModeNamedPipe != 0:
		return errors.New("it is a pipe, not a regular file; write its content to a file first")
	case mode&fs.ModeSocket != 0:
		return errors.New("it is a socket, not a regular file")
	case mode&fs.ModeDevice != 0:
		return errors.New("it is a device, not a regular file")
	case !mode.IsRegular():
		return errors.New("it is not a regular file")
	case info.Size() > MaxFile:
		return errTooLarge
	}
	return nil
}

// bare is err without the operation and path that os adds.
func bare(err error) error {
	if e, ok := errors.AsType[*fs.PathError](err); ok {
		return e.Err
	}
	return err
}
