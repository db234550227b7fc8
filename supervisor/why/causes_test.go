package why

import (
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/watchdogd/watchdogd/supervisor/child"
)

// What is in testdata/broken of cmd/watchdogd is run there; here are the lines of programs that
// not every machine has.
func TestLinesThatProgramsPrintAreCauses(t *testing.T) {
	for name, c := range map[string]struct {
		words, printed, want string
	}{
		"Ruby, a gem":           {"ruby app.rb", "app.rb:1:in `require': cannot load such file -- sinatra (LoadError)", "a library of Ruby is missing: run bundle install in /srv/api"},
		"Bundler":               {"bundle exec puma", "Could not find gem 'puma' in locally installed gems.", "a library of Ruby is missing: run bundle install in /srv/api"},
		"Ruby, the script":      {"ruby app.rb", "ruby: No such file or directory -- app.rb (LoadError)", "the file that it is to run is not there: correct fprocess or dir"},
		"PHP, autoload":         {"php -S x", "PHP Fatal error:  Uncaught Error: Failed opening required '/srv/api/vendor/autoload.php'", "a file or class of PHP is missing: run composer install in /srv/api"},
		"PHP, the script":       {"php x.php", "Could not open input file: x.php", "the file that it is to run is not there: correct fprocess or dir"},
		"Java, a class":         {"java Main", "Error: Could not find or load main class Main", "a class of Java is missing: check -jar and -cp"},
		"Java, the jar":         {"java -jar app.jar", "Error: Unable to access jarfile app.jar", "the file that it is to run is not there: correct fprocess or dir"},
		"Java, too old":         {"java -jar app.jar", "java.lang.UnsupportedClassVersionError: Main has been compiled by a more recent version", "it is built for a newer Java than this one: install that, or build it for this one"},
		"Java, memory":          {"java -jar app.jar", "java.lang.OutOfMemoryError: Java heap space", "Java has reached its own limit of memory: raise it by -Xmx"},
		"the C library":         {"./app", "./app: /lib/libc.so.6: version `GLIBC_2.38' not found (required by ./app)", "it is built for a newer C library than this system's: build it here, or statically"},
		"npm, a script":         {"npm run dev", `npm error Missing script: "dev"`, "package.json has no such script: npm run lists them; it is looked for in /srv/api"},
		"npm, no package":       {"npm start", "npm error enoent ENOENT: no such file or directory, open '/srv/api/package.json'", "there is no package.json: correct dir, which is /srv/api"},
		"npm, a program":        {"npm start", "sh: 1: vite: not found", "a program of the package is missing: run npm install in /srv/api"},
		"a port, Go":            {"./app", "listen tcp :8080: bind: address already in use", "port 8080 is taken by process 7 nginx: end it, or use another port"},
		"a port, nginx":         {"nginx", "nginx: [emerg] bind() to 0.0.0.0:80 failed (98: Address already in use)", "port 80 is taken by process 7 nginx: end it, or use another port"},
		"a port, Python":        {"python3 x", "OSError: [Errno 98] Address already in use", "the port is taken by process 7 nginx: end it, or use another port"},
		"a port below 1024":     {"node x", "Error: listen EACCES: permission denied 0.0.0.0:80", "it may not listen on a port below 1024: have it listen on $PORT, or on a port from 1024 on"},
		"a read-only system":    {"./app", "open /var/lib/x: read-only file system", "it writes to a file system that is read-only: give it a folder where it may write"},
		"a shell, binary":       {"./app", "/bin/sh: 1: ./app: Exec format error", "not a program for this machine: build it for this architecture, or give a script a #! line"},
		"nothing that is known": {"./app", "no such table", ""},
	} {
		f := Facts{Words: strings.Fields(c.words), Dir: "/srv/api", Exit: &child.Exit{Code: 1}, Errors: []string{"starting", c.printed, "  at main"}, Taken: "process 7 nginx"}
		want := "exit status 1: " + c.want + ": " + c.printed
		if c.want == "" {
			want = "exit status 1: " + c.printed
		}
		if got := f.Diagnose().String(); got != want {
			t.Errorf("%s: got  %q\nwant %q", name, got, want)
		}
	}
}

func TestThePortThatIsTakenIsReadFromTheOutput(t *testing.T) {
	for line, want := range map[string]int{
		"listen tcp 127.0.0.1:8080: bind: address already in use":                                          8080,
		"Error: listen EADDRINUSE: address already in use :::3000":                                         3000,
		"[Errno 98] error while attempting to bind on address ('127.0.0.1', 8000): address already in use": 8000,
		"Port 5173 is in use, trying another":                                                              0,
		"address already in use":                                                                           0,
		"all is well on port 80":                                                                           0,
		"address already in use: " + strings.Repeat("x", 5000) + ":8080":                                   0,
	} {
		f := Facts{Errors: []string{line}}
		if got := f.AskedPort(); got != want {
			t.Errorf("%.80q: got %d, want %d", line, got, want)
		}
	}
}

func TestSignalsAreExplained(t *testing.T) {
	for name, c := range map[string]struct {
		facts Facts
		want  string
	}{
		"the limit of CPU":    {Facts{CPU: 2, Exit: &child.Exit{Code: -1, Signal: syscall.SIGKILL, CPU: 2 * time.Second}}, "killed by SIGKILL by the kernel: it used 2s of CPU time, and rlimits.cpu is 2 s"},
		"out of memory":       {Facts{Exit: &child.Exit{Code: -1, Signal: syscall.SIGKILL, OutOfMemory: true, MemoryLimit: 64 << 20}}, "killed by the kernel: out of memory (cgroup limit 64 MiB)"},
		"another process":     {Facts{Exit: &child.Exit{Code: -1, Signal: syscall.SIGHUP}}, "killed by SIGHUP: it or another process sent it (not watchdogd)"},
		"an unusual signal":   {Facts{Exit: &child.Exit{Code: -1, Signal: syscall.SIGUSR1}}, "killed by SIGUSR1: it does not handle this signal"},
		"a core for systemd":  {Facts{Cores: "|/usr/lib/systemd/systemd-coredump %P", Exit: &child.Exit{Code: -1, Signal: syscall.SIGFPE, Core: true}}, "killed by SIGFPE (core dumped): an arithmetic error, such as a division by zero; coredumpctl debug shows where"},
		"a core for a pipe":   {Facts{Cores: "|/usr/share/apport/apport %p", Exit: &child.Exit{Code: -1, Signal: syscall.SIGFPE, Core: true}}, "killed by SIGFPE (core dumped): an arithmetic error, such as a division by zero; the core dump was given to /usr/share/apport/apport"},
		"a core in a folder":  {Facts{Cores: "/var/cores/core.%p", Exit: &child.Exit{Code: -1, Signal: syscall.SIGFPE, Core: true}}, "killed by SIGFPE (core dumped): an arithmetic error, such as a division by zero; the core dump is in /var/cores"},
		"a core where it ran": {Facts{Cores: "core", Dir: "/srv/api", Exit: &child.Exit{Code: -1, Signal: syscall.SIGFPE, Core: true}}, "killed by SIGFPE (core dumped): an arithmetic error, such as a division by zero; the core dump is in /srv/api"},
	} {
		if got := c.facts.Diagnose().String(); got != c.want {
			t.Errorf("%s: got  %q\nwant %q", name, got, c.want)
		}
	}
}

func TestWhetherAListenerIsReached(t *testing.T) {
	for _, c := range []struct {
		listener, asked string
		either, want    bool
	}{
		{"127.0.0.1:80", "127.0.0.1:80", false, true},
		{"0.0.0.0:80", "127.0.0.1:80", false, true},
		{"[::]:80", "127.0.0.1:80", false, true},
		{"[::1]:80", "127.0.0.1:80", true, true},
		{"[::1]:80", "127.0.0.1:80", false, false},
		{"[::1]:80", "localhost:80", false, true},
		{"0.0.0.0:80", "[::1]:80", false, false},
		{"127.0.0.1:80", "[::1]:80", false, false},
		{"127.0.0.2:80", "127.0.0.1:80", false, false},
		{"127.0.0.1:81", "127.0.0.1:80", true, false},
		{"10.0.0.1:80", "127.0.0.1:80", true, false},
		{"/run/x.sock", "/run/x.sock", false, true},
		{"/run/y.sock", "/run/x.sock", false, false},
	} {
		if got := Reaches(c.listener, c.asked, c.either); got != c.want {
			t.Errorf("%s, asked %s, either %v: got %v, want %v", c.listener, c.asked, c.either, got, c.want)
		}
	}
}

func FuzzDiagnose(f *testing.F) {
	f.Add("Error: Cannot find module 'x'", 1, 0)
	f.Add("bind: address already in use :80", 127, 11)
	f.Fuzz(func(t *testing.T, printed string, code, signal int) {
		facts := Facts{Errors: strings.Split(printed, "\n"), Exit: &child.Exit{Code: code, Signal: syscall.Signal(signal & 31)}}
		_ = facts.AskedPort()
		d := facts.Diagnose()
		if d.What == "" {
			t.Error("got no sentence, want one")
		}
		if got := d.Printed; strings.ContainsAny(got, "\x1b\n\r\x00") {
			t.Errorf("got %q, want it clean", got)
		}
	})
}
