package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"github.com/watchdogd/watchdogd/internal/event"
)

// lock writes the lock file of "live: lock" once the server listens. It is an error if it
// cannot be written, because health checks that look for the file would fail.
func (d *daemon) lock() error {
	health := d.health
	switch {
	case health.Live != "lock":
		return nil
	case health.LockFile == "":
		d.log.Info(event.NoLock, "why", named(d.current.config(), "health.lock_file is empty", "suppress_lock is enabled"))
		return nil
	}
	if err := writeLock(health.LockFile); err != nil {
		return fmt.Errorf("write the lock file: %w; set another path with %s", err, named(d.current.config(), "health.lock_file", "TMPDIR, or write none with suppress_lock=true"))
	}
	d.log.Info(event.LockWritten, "file", health.LockFile)
	return nil
}

// lockWhenReady writes the lock file of "live: plain" once everything is ready.
func (d *daemon) lockWhenReady(ctx context.Context) {
	health := d.health
	if health.Live == "lock" || health.LockFile == "" {
		return
	}
	tick := time.NewTicker(20 * time.Millisecond) // health checks look for the file once a second
	defer tick.Stop()
	for d.ready("") != nil {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
	if err := writeLock(health.LockFile); err != nil {
		d.log.Error("lock file not written; health checks that look for it will fail", "file", health.LockFile, "error", err.Error())
	}
}

// unlock removes the lock file.
func (d *daemon) unlock() {
	file := d.health.LockFile
	if file == "" {
		return
	}
	switch err := os.Remove(file); {
	case err == nil:
		d.log.Info(event.LockRemoved, "file", file)
	case !errors.Is(err, os.ErrNotExist): // it was never written, or an operator removed it to take us out of service
		d.log.Warn("the lock file is left behind", "file", file, "error", err.Error())
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
	if info, err := os.Lstat(dir); err == nil && info.Mode().Type() == fs.ModeSymlink && ownerOf(info) != 0 && ownerOf(info) != os.Geteuid() {
		return fmt.Errorf("%s is a link that %s made", dir, userText(ownerOf(info)))
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
		if err == nil && info.Mode().IsRegular() && ownerOf(info) == os.Geteuid() {
			return nil // of one of us that was killed
		}
		if err == nil && info.IsDir() {
			return fmt.Errorf("%s is a folder", file)
		}
		if err == nil {
			if err = os.Remove(file); err != nil {
				return fmt.Errorf("%s is in its place, made by %s: %w", kindOf(info), userText(ownerOf(info)), err)
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
