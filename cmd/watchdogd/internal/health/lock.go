package health

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"github.com/watchdogd/watchdogd/cmd/watchdogd/internal/owner"
	"github.com/watchdogd/watchdogd/cmd/watchdogd/internal/source"
	"github.com/watchdogd/watchdogd/internal/event"
)

// Lock writes the lock file of "live: lock" once the server listens. It is an error if it
// cannot be written, because health checks that look for the file would fail.
func (h *Health) Lock() error {
	switch {
	case h.Live != "lock":
		return nil
	case h.LockFile == "":
		h.Log.Info(event.NoLock, "why", source.Named(h.Config(), "health.lock_file is empty", "suppress_lock is enabled"))
		return nil
	}
	if err := writeLock(h.LockFile); err != nil {
		return fmt.Errorf("write the lock file: %w; set another path with %s", err, source.Named(h.Config(), "health.lock_file", "TMPDIR, or write none with suppress_lock=true"))
	}
	h.Log.Info(event.LockWritten, "file", h.LockFile)
	return nil
}

// LockWhenReady writes the lock file of "live: plain" once everything is ready.
func (h *Health) LockWhenReady(ctx context.Context) {
	if h.Live == "lock" || h.LockFile == "" {
		return
	}
	tick := time.NewTicker(20 * time.Millisecond) // health checks look for the file once a second
	defer tick.Stop()
	for h.Ready("") != nil {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
	if err := writeLock(h.LockFile); err != nil {
		h.Log.Error("lock file not written; health checks that look for it will fail", "file", h.LockFile, "error", err.Error())
	}
}

// Unlock removes the lock file.
func (h *Health) Unlock() {
	file := h.LockFile
	if file == "" {
		return
	}
	switch err := os.Remove(file); {
	case err == nil:
		h.Log.Info(event.LockRemoved, "file", file)
	case !errors.Is(err, os.ErrNotExist): // it was never written, or an operator removed it to take us out of service
		h.Log.Warn("the lock file is left behind", "file", file, "error", err.Error())
	}
}

// writeLock makes the lock file. Its folder may be one that all users share, as /tmp, the
// default of OpenFaaS: another user can have put a link there, to have us empty or make the file
// that it leads to, a pipe, which would keep us waiting, or a file that is theirs to remove.
// So a file that is ours stays as it is, and all else is removed, which follows no link, and made
// anew where nothing is.
func writeLock(file string) error {
	dir := filepath.Dir(file)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	if info, err := os.Lstat(dir); err == nil && info.Mode().Type() == fs.ModeSymlink && owner.Of(info) != 0 && owner.Of(info) != os.Geteuid() {
		return fmt.Errorf("%s is a link that %s made", dir, owner.Name(owner.Of(info)))
	}
	for range 3 {
		f, err := os.OpenFile(file, os.O_WRONLY|os.O_CREATE|os.O_EXCL|syscall.O_NOFOLLOW, 0o660)
		if err == nil {
			return f.Close()
		}
		if !errors.Is(err, fs.ErrExist) {
			return err
		}
		info, err := os.Lstat(file)
		if err == nil && info.Mode().IsRegular() && owner.Of(info) == os.Geteuid() {
			return nil // of one of us that was killed
		}
		if err == nil && info.IsDir() {
			return fmt.Errorf("%s is a folder", file)
		}
		if err == nil {
			if err = os.Remove(file); err != nil {
				return fmt.Errorf("%s is in its place, made by %s: %w", kindOf(info), owner.Name(owner.Of(info)), err)
			}
		}
	}
	return fmt.Errorf("another program keeps creating %s", file)
}

func kindOf(info fs.FileInfo) string {
	switch mode := info.Mode(); {
	case mode.IsRegular():
		return "a file"
	case mode.Type() == fs.ModeSymlink:
		return "a link"
	}
	return "something that is not a file"
}
