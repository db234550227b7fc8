// Package testprogram is the programs that the tests of supervisor and of supervisor/child
// start: the test binary itself, with the name of one of them in the environment variable BE.
package testprogram

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/watchdogd/watchdogd/internal/testkit"
	"github.com/watchdogd/watchdogd/schema"
)

// Bound is how long a test waits for what must happen.
const Bound = testkit.Patience

// Run is one of the programs that tests start. It reports false when there is none called
// words[0], which is then the test's own.
func Run(words []string) (status int, known bool) {
	status = run(words)
	return status, status != unknown
}

const unknown = 99

func run(words []string) int {
	args := words[1:]
	switch words[0] {
	case "exit":
		n, _ := strconv.Atoi(args[0])
		return n
	case "sleep":
		select {}
	case "stubborn": // ignores all that can be ignored
		signal.Ignore(syscall.SIGTERM, syscall.SIGINT, syscall.SIGHUP)
		fmt.Println("up")
		select {}
	case "polite": // ends on TERM after a while
		c := make(chan os.Signal, 1)
		signal.Notify(c, syscall.SIGTERM)
		fmt.Println("up")
		<-c
		fmt.Println("bye")
		return 0
	case "heir": // on TERM leaves one that has had none
		c := make(chan os.Signal, 1)
		signal.Notify(c, syscall.SIGTERM)
		fmt.Println("up")
		<-c
		again("polite", &syscall.SysProcAttr{})
		return 0
	case "teacher": // starts one who misses the first signal
		again("deaf", &syscall.SysProcAttr{})
		select {}
	case "deaf":
		c := make(chan os.Signal, 3)
		signal.Notify(c, syscall.SIGTERM)
		fmt.Println(os.Getpid())
		<-c
		fmt.Println("missed")
		<-c
		fmt.Println("bye")
		return 0
	case "tree": // tree DEPTH HOW: a chain of processes, each the child of the one before
		signal.Ignore(syscall.SIGTERM)
		depth, _ := strconv.Atoi(args[0])
		if depth > 0 {
			how := &syscall.SysProcAttr{Setsid: args[1] == "setsid"}
			again(fmt.Sprintf("tree %d %s", depth-1, args[1]), how)
		}
		fmt.Println(os.Getpid())
		if args[1] == "leave" && depth > 0 || args[1] == "setsid" && depth == 1 {
			return 0 // those below are orphans
		}
		select {}
	case "orphan": // orphan HOW: leaves a process behind, and lives on
		again("mid "+args[0], &syscall.SysProcAttr{})
		select {}
	case "mid":
		if args[0] == "exit" {
			again("exit 3", &syscall.SysProcAttr{})
			return 0
		}
		again("tree 0 x", &syscall.SysProcAttr{Setsid: args[0] == "setsid"})
		return 0
	case "serve": // serve [DELAY]: an HTTP server on $PORT
		if len(args) > 0 {
			d, _ := time.ParseDuration(args[0])
			time.Sleep(d)
		}
		return serve()
	case "serve6": // an HTTP server on $PORT of ::1 alone, if $HOST is as it is set
		if os.Getenv("HOST") != "127.0.0.1" {
			return 1
		}
		_ = http.ListenAndServe("[::1]:"+os.Getenv("PORT"), http.NotFoundHandler())
		return 1
	case "loser": // says its port, and listens on it when FILE is there
		fmt.Println(os.Getenv("PORT"))
		for {
			if _, err := os.Stat(args[0]); err == nil {
				return serve()
			}
			time.Sleep(5 * time.Millisecond)
		}
	case "elsewhere": // listens, and not on $PORT
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return 1
		}
		defer l.Close()
		select {}
	case "fds": // prints what its descriptors above 2 are
		all, _ := os.ReadDir("/proc/self/fd")
		for _, fd := range all {
			if to, err := os.Readlink("/proc/self/fd/" + fd.Name()); err == nil && len(fd.Name()) > 0 && fd.Name() > "2" {
				fmt.Println(fd.Name(), to)
			}
		}
		fmt.Println("all")
		return 0
	case "hoard": // CGROUP: joins it, and takes more memory than there is
		if err := os.WriteFile(filepath.Join(args[0], "cgroup.procs"), []byte(strconv.Itoa(os.Getpid())), 0o644); err != nil {
			return 1
		}
		hoard := make([]byte, 256<<20)
		for i := range hoard {
			hoard[i] = 1
		}
		return int(hoard[0])
	case "complain":
		fmt.Fprintln(os.Stderr, "\x1b[31mthe table is missing\x1b[0m")
		return 3
	case "daemon": // FILE [unmarked]: goes to the background, as sit, whose pid is then in FILE
		if len(args) > 1 {
			os.Unsetenv("WATCHDOGD_LIFE")
		}
		again("sit "+args[0], &syscall.SysProcAttr{Setsid: true})
		for {
			if data, err := os.ReadFile(args[0]); err == nil && len(data) > 0 {
				return 0
			}
			time.Sleep(5 * time.Millisecond)
		}
	case "sit": // FILE: writes its pid to FILE
		_ = os.WriteFile(args[0], []byte(strconv.Itoa(os.Getpid())), 0o644)
		select {}
	case "says": // says something after a while
		time.Sleep(50 * time.Millisecond)
		fmt.Println("now serving on", os.Getenv("PORT"))
		select {}
	case "worker": // answers each line on stdin by its pid and the line
		for in := bufio.NewScanner(os.Stdin); in.Scan(); {
			if in.Text() == "die" {
				return 4
			}
			fmt.Println(os.Getpid(), in.Text())
		}
		return 0
	case "once": // FILE: fails until FILE is there
		if _, err := os.Stat(args[0]); err != nil {
			return 6
		}
		return 0
	case "note": // FILE: notes its end in FILE
		term := make(chan os.Signal, 1)
		signal.Notify(term, syscall.SIGTERM)
		fmt.Println("up")
		<-term
		f, err := os.OpenFile(args[0], os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
		if err == nil {
			fmt.Fprintln(f, os.Getenv("NAME"))
			f.Close()
		}
		return 0
	case "env":
		for _, n := range args {
			fmt.Printf("%s=%s\n", n, os.Getenv(n))
		}
		return 0
	case "limits":
		var l syscall.Rlimit
		_ = syscall.Getrlimit(syscall.RLIMIT_NOFILE, &l)
		dir, _ := os.Getwd()
		mask := syscall.Umask(0)
		fmt.Printf("nofile=%d/%d umask=%03o uid=%d gid=%d dir=%s\n", l.Cur, l.Max, mask, os.Getuid(), os.Getgid(), dir)
		return 0
	case "litter": // leaves N orphans that end at once
		n, _ := strconv.Atoi(args[0])
		for range n {
			again("mid exit", &syscall.SysProcAttr{Setsid: true})
		}
		return 5
	case "cat":
		_, _ = io.Copy(os.Stdout, os.Stdin)
		return 0
	}
	return unknown
}

// again starts the test binary as another program, with the same files. There are at most a
// dozen generations.
func again(be string, attr *syscall.SysProcAttr) {
	generation, _ := strconv.Atoi(os.Getenv("GENERATION"))
	if generation >= 12 {
		fmt.Println("too many generations")
		os.Exit(97)
	}
	env := slices.DeleteFunc(os.Environ(), func(kv string) bool {
		return strings.HasPrefix(kv, "GENERATION=") || strings.HasPrefix(kv, "BE=")
	})
	env = append(env, "GENERATION="+strconv.Itoa(generation+1), "BE="+be)
	_, err := syscall.ForkExec(os.Args[0], os.Args[:1], &syscall.ProcAttr{Env: env, Files: []uintptr{0, 1, 2}, Sys: attr})
	if err != nil {
		fmt.Println(err)
		os.Exit(98)
	}
}

func serve() int {
	l, err := net.Listen("tcp", "127.0.0.1:"+os.Getenv("PORT"))
	if err != nil {
		fmt.Println(err)
		return 1
	}
	fmt.Println("listening")
	var sick atomic.Bool
	var held atomic.Pointer[[]byte]
	server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/exit":
			n, _ := strconv.Atoi(r.URL.RawQuery)
			os.Exit(n)
		case "/sick":
			sick.Store(true)
		case "/well":
			sick.Store(false)
		case "/healthz":
			if sick.Load() {
				w.WriteHeader(http.StatusInternalServerError)
			}
		case "/grow":
			hoard := make([]byte, 64<<20)
			for i := range hoard {
				hoard[i] = 1
			}
			held.Store(&hoard)
		case "/slow":
			time.Sleep(200 * time.Millisecond)
		}
		fmt.Fprintf(w, "%s %s %d", os.Getenv("NAME"), os.Getenv("INSTANCE"), os.Getpid())
	})}
	term := make(chan os.Signal, 1)
	signal.Notify(term, syscall.SIGTERM)
	go func() { _ = server.Serve(l) }()
	<-term
	_ = server.Shutdown(context.Background())
	return 0
}

// Process is a process that is the test binary as be says.
func Process(t testing.TB, be string) *schema.Process {
	t.Helper()
	self, err := filepath.Abs(os.Args[0])
	if err != nil {
		t.Fatal(err)
	}
	return &schema.Process{
		FProcess: schema.Command{Words: []schema.Text{schema.Text(self)}},
		Env:      map[string]schema.Text{"BE": schema.Text(be)},
		Dir:      schema.Text(t.TempDir()),
		Replicas: schema.Replicas{Min: 1, Max: 1},
		Restart: schema.Restart{Policy: "always", Min: schema.Duration(10 * time.Millisecond), Max: schema.Duration(100 * time.Millisecond),
			Reset: schema.Duration(time.Minute), GiveUp: schema.GiveUp{Exits: 5, Within: schema.Duration(time.Minute)}, Then: "degrade"},
		Stop: schema.Stop{Signal: "TERM", Grace: schema.Duration(5 * time.Second), Drain: schema.Duration(Bound)},
	}
}

// ReadLine reads a line that a program printed.
func ReadLine(t testing.TB, r *bufio.Reader) string {
	t.Helper()
	s, err := r.ReadString('\n')
	if err != nil {
		t.Fatalf("reading a line of the child: %v (got %q)", err, s)
	}
	return strings.TrimSpace(s)
}

// Atoi is the number that s is.
func Atoi(t testing.TB, s string) int {
	t.Helper()
	n, err := strconv.Atoi(s)
	if err != nil {
		t.Fatal(err)
	}
	return n
}
