package main

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/tools/txtar"

	"github.com/watchdogd/watchdogd/cmd/watchdogd/internal/admin"
	"github.com/watchdogd/watchdogd/supervisor"
)

// broken is a program of testdata/broken that does not work, and the sentence that says why.
// In the sentence "..." is any text, NUMBER any number, DIR the program's folder, ARCH the
// machine's, and TAKEN the port that the test has. A first line "# needs: " names the programs
// that it needs, root, or ::1; make.sh is run before.
type broken struct {
	name, dir, want string
	lacks           string // of what it needs
}

func readBroken(t *testing.T, root string) (all []broken) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join("testdata", "broken", "*.txtar"))
	if err != nil || len(files) < 40 {
		t.Fatalf("got %d broken programs, %v, want at least 40", len(files), err)
	}
	for _, file := range files {
		archive, err := txtar.ParseFile(file)
		if err != nil {
			t.Fatal(err)
		}
		b := broken{name: strings.TrimSuffix(filepath.Base(file), ".txtar")}
		b.dir = filepath.Join(root, b.name)
		first, _, _ := strings.Cut(string(archive.Comment), "\n")
		if needs, ok := strings.CutPrefix(first, "# needs: "); ok {
			b.lacks = lacks(needs)
		}
		if err := os.Mkdir(b.dir, 0o755); err != nil {
			t.Fatal(err)
		}
		for _, f := range archive.Files {
			if f.Name == "why" {
				b.want = strings.TrimSuffix(string(f.Data), "\n")
			} else if err := os.WriteFile(filepath.Join(b.dir, f.Name), f.Data, 0o644); err != nil {
				t.Fatal(err)
			}
		}
		if b.lacks == "" {
			if err := os.WriteFile(filepath.Join(b.dir, "watchdog.yaml"), archive.Comment, 0o644); err != nil {
				t.Fatal(err)
			}
		}
		all = append(all, b)
	}
	return all
}

// lacks is the first of needs that this machine does not have; empty when it has all.
func lacks(needs string) string {
	for _, n := range strings.Fields(needs) {
		switch n {
		case "root":
			if os.Getuid() != 0 {
				return "root"
			}
		case "::1":
			l, err := net.Listen("tcp", "[::1]:0")
			if err != nil {
				return "an IPv6 loopback"
			}
			_ = l.Close()
		default:
			files, _ := filepath.Glob(n) // of a path; the pattern is good
			if _, err := exec.LookPath(n); err != nil && len(files) == 0 {
				return n
			}
		}
	}
	return ""
}

// pattern is what the sentence must match.
func (b *broken) pattern(taken int) *regexp.Regexp {
	text := strings.NewReplacer(`\.\.\.`, `.*`, "NUMBER", `\d+`, "DIR", regexp.QuoteMeta(b.dir), "ARCH", runtime.GOARCH, "TAKEN", fmt.Sprint(taken)).Replace(regexp.QuoteMeta(b.want))
	return regexp.MustCompile("^" + text + "$")
}

// TestWhySaysWhatIsWrongWithBrokenPrograms runs all programs of testdata/broken in one
// stack.
func TestWhySaysWhatIsWrongWithBrokenPrograms(t *testing.T) {
	root := folderForAll(t)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	taken := l.Addr().(*net.TCPAddr).Port
	t.Setenv("TAKEN", fmt.Sprint(taken))
	all := readBroken(t, root)
	yaml := "server: {listen: \"LISTEN\"}\ndefaults: {restart: never, timeouts: {start: 10m}}\ninclude:\n"
	for _, b := range all {
		if b.lacks == "" {
			b.make(t)
			yaml += "  - " + filepath.Join(b.dir, "watchdog.yaml") + "\n"
		}
	}
	socket := filepath.Join(shortDir(t), "admin.sock")
	d := serveFile(t, "admin: {listen: \"unix:"+socket+"\"}\n"+yaml).waitListening()
	got := make(map[string]string, len(all))
	pending := slices.DeleteFunc(slices.Clone(all), func(b broken) bool { return b.lacks != "" })
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for limit := time.Now().Add(5 * patience); len(pending) > 0 && time.Now().Before(limit); <-tick.C {
		pending = slices.DeleteFunc(pending, func(b broken) bool {
			got[b.name] = sentenceOf(t, admin.At(socket), b.name)
			return b.pattern(taken).MatchString(got[b.name])
		})
	}
	if out, errOut, status := d.command("why", "--json", "says-nothing"); status != 0 || !strings.Contains(out, got["says-nothing"]) {
		t.Errorf("why says-nothing: got status %d, %s%s, want %q", status, out, errOut, got["says-nothing"])
	}
	for _, b := range all {
		t.Run(b.name, func(t *testing.T) {
			if b.lacks != "" {
				t.Skip("needs ", b.lacks)
			}
			if !b.pattern(taken).MatchString(got[b.name]) {
				t.Errorf("got  %s\nwant %s", got[b.name], b.want)
			}
		})
	}
}

// folderForAll is a temporary folder that every user may enter.
func folderForAll(t *testing.T) string {
	t.Helper()
	root, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	for dir := root; len(dir) > len(os.TempDir()); dir = filepath.Dir(dir) {
		if err := os.Chmod(dir, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	return root
}

// make runs make.sh, if the program has one.
func (b *broken) make(t *testing.T) {
	t.Helper()
	if _, err := os.Stat(filepath.Join(b.dir, "make.sh")); err != nil {
		return
	}
	c := exec.Command("sh", "make.sh")
	c.Dir = b.dir
	if out, err := c.CombinedOutput(); err != nil {
		t.Fatalf("%s: make.sh: got %v, %s, want no error", b.name, err, out)
	}
}

// sentenceOf is what "watchdogd why NAME" asks for.
func sentenceOf(t *testing.T, running admin.Client, name string) string {
	t.Helper()
	var e supervisor.Explanation
	if err := running.Get(t.Context(), "/v1/why/"+name, &e); err != nil {
		t.Fatalf("why %s: got %v, want the sentence", name, err)
	}
	return e.Why
}
