package doctor

import (
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/watchdogd/watchdogd/internal/listen"
	"github.com/watchdogd/watchdogd/internal/spill"
	"github.com/watchdogd/watchdogd/modes"
	"github.com/watchdogd/watchdogd/schema"
	"github.com/watchdogd/watchdogd/supervisor/ports"
)

// Look gathers what is known of this machine, for cfg, which may be nil.
func Look(cfg *schema.Config) *Machine {
	m := &Machine{
		Root: os.Geteuid() == 0, Now: time.Now(),
		Temporary: os.TempDir(), Unwritable: spill.Check(),
		Busy: busyAddress, Taken: ports.Taken, Spill: modes.Spills, Inside: inside,
	}
	if cfg != nil && cfg.File != "" {
		if info, err := os.Stat(cfg.File); err == nil {
			m.FileTime = info.ModTime()
		}
	}
	var files unix.Rlimit
	if unix.Getrlimit(unix.RLIMIT_NOFILE, &files) == nil {
		// Go raises the soft limit to the hard one in this process, as in watchdogd.
		m.Files, m.MostFiles = uint64(files.Cur), uint64(files.Max)
	}
	var room unix.Statfs_t
	if unix.Statfs(m.Temporary, &room) == nil {
		m.Free = int64(min(uint64(room.Bavail)*uint64(room.Bsize), 1<<62))
		m.InMemory = inMemory(&room)
	}
	m.CPUs = float64(runtime.NumCPU())
	m.system()
	return m
}

// busyAddress is why an address cannot be listened on.
func busyAddress(address string) error {
	if path, ok := strings.CutPrefix(address, "unix:"); ok && !strings.HasPrefix(path, "@") {
		dir := filepath.Dir(path)
		if err := unix.Access(dir, unix.W_OK); err != nil {
			return &os.PathError{Op: "make a socket in", Path: dir, Err: err}
		}
	}
	l, err := listen.Open(address)
	if err != nil {
		return err
	}
	return l.Close()
}

// inside reports whether a file is in a folder, or in one below it.
func inside(folder, file string) bool {
	relative, err := filepath.Rel(folder, file)
	return err == nil && filepath.IsLocal(relative)
}

// number reads a file that holds one number; 0 is none.
func number(file string) int64 {
	text, err := os.ReadFile(file)
	if err != nil {
		return 0
	}
	n, err := strconv.ParseInt(strings.TrimSpace(string(text)), 10, 64)
	if err != nil {
		return 0 // "max"
	}
	return n
}
