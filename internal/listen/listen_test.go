package listen

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
)

func TestAPortInUseIsAnErrorThatNamesTheHolder(t *testing.T) {
	first, err := Open("127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer first.Close()
	_, err = Open(first.Addr().String())
	if err == nil {
		t.Fatal("a port was taken twice")
	}
	want := []string{"listen on " + first.Addr().String(), "the port is in use", "choose another"}
	if runtime.GOOS == "linux" {
		want = append(want, fmt.Sprintf("(process %d)", os.Getpid()))
	}
	for _, part := range want {
		if !strings.Contains(err.Error(), part) {
			t.Errorf("no %q in %q", part, err)
		}
	}
}

// socket is a path that is short enough for a socket's.
func socket(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "listen")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return filepath.Join(dir, "s")
}

func TestASocketThatNobodyServesIsReplacedAndOneThatIsServedIsNot(t *testing.T) {
	path := socket(t)
	left, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	left.SetUnlinkOnClose(false)
	left.Close() // as after a kill -9

	l, err := Open("unix:" + path)
	if err != nil {
		t.Fatal(err)
	}
	_, err = Open("unix:" + path)
	if err == nil || !strings.Contains(err.Error(), "another program serves this socket") {
		t.Errorf("taken twice: got %v, want an error and %q in it", err, "another program serves this socket")
	}
	if runtime.GOOS == "linux" && !strings.Contains(err.Error(), fmt.Sprintf("(process %d)", os.Getpid())) {
		t.Errorf(`the holder is not named: got %v, want runtime.GOOS != "linux" || strings.Contains(err.Error(), fmt.Sprintf("(process %%d)", os.Getpid()))`, err)
	}
	l.Close()
	if _, err := os.Lstat(path); !os.IsNotExist(err) {
		t.Errorf("the socket is left behind: got %v, want that it does not exist", err)
	}
}

func TestAFileThatIsNoSocketIsNotReplaced(t *testing.T) {
	path := socket(t)
	if err := os.WriteFile(path, []byte("precious"), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, listen := range map[string]func(string) (net.Listener, error){
		"Open":        func(p string) (net.Listener, error) { return Open("unix:" + p) },
		"OpenPrivate": OpenPrivate,
	} {
		if _, err := listen(path); err == nil || !strings.Contains(err.Error(), "not a socket stands there") {
			t.Errorf("%s: got %v, want an error and %q in it", name, err, "not a socket stands there")
		}
	}
	if content, _ := os.ReadFile(path); string(content) != "precious" {
		t.Errorf(`the file is %q, want "precious"`, content)
	}
}

func TestAPrivateSocketIsOfMode0600(t *testing.T) {
	path := socket(t)
	l, err := OpenPrivate(path)
	if err != nil {
		t.Fatal(err)
	}
	info, err := os.Lstat(path)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("got %v %v, want no error and info.Mode().Perm() 0o600", info.Mode(), err)
	}
	l.Close()
	if _, err := OpenPrivate("@abstract"); err == nil || !strings.Contains(err.Error(), "choose a path") {
		t.Errorf("a socket without a mode: got %v, want an error and %q in it", err, "choose a path")
	}
}
