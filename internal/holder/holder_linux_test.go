package holder

import (
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/watchdogd/watchdogd/internal/testkit"
)

func TestTheProcessBehindAPortAndASocketIsFoundAndNamed(t *testing.T) {
	port := testkit.FreePort(t)
	l, err := net.Listen("tcp", "127.0.0.1:"+strconv.Itoa(port))
	if err != nil {
		t.Fatal(err)
	}
	if got := OfPort(port); got != os.Getpid() || !Has(got, Listener(port)) {
		t.Errorf("port %d: got process %d, want %d", port, got, os.Getpid())
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	if got := OfPort(port); got != 0 {
		t.Errorf("a port that no process listens on: got process %d, want 0", got)
	}
	path := filepath.Join(t.TempDir(), "s")
	s, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	c, err := net.Dial("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if got := OfSocket(c); got != os.Getpid() || !strings.HasPrefix(Name(got), "holder.test (process ") {
		t.Errorf("a socket: got %q, want this process", Name(got))
	}
	if got := Name(0); got != "" {
		t.Errorf("no process: got %q, want nothing", got)
	}
}
