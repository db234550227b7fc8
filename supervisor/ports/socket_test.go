package ports

import (
	"net"
	"os"
	"path/filepath"
	"testing"

	"github.com/watchdogd/watchdogd/schema"
)

func TestASocketThatAKilledServerLeftIsRemoved(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	l.SetUnlinkOnClose(false)
	RemoveStale(schema.Endpoint{Network: "unix", Address: path})
	if _, err := os.Lstat(path); err != nil {
		t.Error("one that is served was removed")
	}
	_ = l.Close()
	RemoveStale(schema.Endpoint{Network: "unix", Address: path})
	if _, err := os.Lstat(path); err == nil {
		t.Error("one that is left over was not")
	}
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	RemoveStale(schema.Endpoint{Network: "unix", Address: path})
	if _, err := os.Lstat(path); err != nil {
		t.Error("a file that is no socket was removed")
	}
	RemoveStale(schema.Endpoint{Network: "tcp", Address: "127.0.0.1:1"})
}
