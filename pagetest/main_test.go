// Package pagetest holds the page of watchdogd against a real browser: Chromium, driven by
// chromedp. It is a module of its own, so that chromedp is no dependency of watchdogd; make test
// runs it. Pictures of the page are left in the folder $PAGETEST_PICTURES, by default
// watchdogd-page in the folder for temporary files.
package pagetest

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
)

// soonEnough is how long a test waits for what must happen.
const soonEnough = 2 * time.Minute

// asServer in the environment makes the test binary a server on $PORT, which listens at once
// or after the duration that is its value.
const asServer = "WATCHDOGD_PAGE_TEST_SERVER"

var (
	binary  string          // watchdogd
	browser context.Context // nil without Chromium
)

func TestMain(m *testing.M) {
	if os.Getenv(asServer) != "" {
		serve()
		return
	}
	os.Exit(func() int {
		dir, err := os.MkdirTemp("", "pagetest")
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		defer func() { _ = os.RemoveAll(dir) }()
		binary = filepath.Join(dir, "watchdogd")
		build := exec.Command("go", "build", "-buildvcs=false", "-o", binary, "./cmd/watchdogd")
		build.Dir, build.Env = "..", append(os.Environ(), "CGO_ENABLED=0")
		if out, err := build.CombinedOutput(); err != nil {
			fmt.Fprintf(os.Stderr, "build watchdogd: %v: %s\n", err, out)
			return 1
		}
		if path, err := exec.LookPath("chromium"); err == nil {
			options := append(chromedp.DefaultExecAllocatorOptions[:], chromedp.ExecPath(path), chromedp.NoSandbox,
				chromedp.WindowSize(1280, 900), chromedp.UserDataDir(filepath.Join(dir, "profile")), chromedp.WSURLReadTimeout(soonEnough))
			all, end := chromedp.NewExecAllocator(context.Background(), options...)
			defer end()
			first, close := chromedp.NewContext(all)
			defer close()
			if err := chromedp.Do(first); err != nil {
				fmt.Fprintf(os.Stderr, "start chromium: %v\n", err)
				return 1
			}
			browser = first
		}
		return m.Run()
	}())
}

// serve is a server that answers, slowly and with errors if it is asked to, and prints what
// it is sent.
func serve() {
	http.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		if wait, err := time.ParseDuration(r.URL.Query().Get("wait")); err == nil {
			time.Sleep(min(wait, 10*time.Second))
		}
		if r.URL.Query().Has("fail") {
			w.WriteHeader(http.StatusInternalServerError)
		}
		if body, err := io.ReadAll(io.LimitReader(r.Body, 1<<20)); err == nil && len(body) > 0 {
			fmt.Printf("%s\n", body)
		}
	})
	fmt.Println("the server starts")
	if wait, err := time.ParseDuration(os.Getenv(asServer)); err == nil {
		time.Sleep(wait)
	}
	if err := http.ListenAndServe("127.0.0.1:"+os.Getenv("PORT"), nil); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// daemon is a running watchdogd.
type daemon struct {
	t                      *testing.T
	dir                    string
	public, admin, metrics string // host:port
	cmd                    *exec.Cmd
	ended                  chan error

	mu  sync.Mutex
	log bytes.Buffer
}

// start runs watchdogd with routes and services, the lines of which are indented by two.
func start(t *testing.T, more, routes string) *daemon {
	t.Helper()
	if browser == nil {
		t.Skip("there is no program chromium")
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	d := &daemon{t: t, dir: t.TempDir(), public: freeAddress(t), admin: freeAddress(t), metrics: freeAddress(t)}
	text := fmt.Sprintf("name: shop\nserver:\n  listen: %s\nadmin:\n  listen: %s\n%smetrics:\n  listen: %s\n%s", d.public, d.admin, more, d.metrics,
		strings.NewReplacer("SELF", self, "ENV", "env: {"+asServer+": '1'}").Replace(routes))
	if err := os.WriteFile(filepath.Join(d.dir, "watchdog.yaml"), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(d.stop)
	d.run()
	return d
}

// freeAddress returns an address of 127.0.0.1 whose port no one else is given until the test
// ends: a socket is bound to it that does not listen. watchdogd can listen there, which asks
// for SO_REUSEADDR.
func freeAddress(t *testing.T) string {
	t.Helper()
	syscall.ForkLock.RLock()
	fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM, 0)
	if err == nil {
		syscall.CloseOnExec(fd)
	}
	syscall.ForkLock.RUnlock()
	if err != nil {
		t.Fatal(err)
	}
	if runtime.GOOS == "linux" {
		t.Cleanup(func() { _ = syscall.Close(fd) }) // nothing was sent
	} else { // where it would keep watchdogd away too
		defer func() { _ = syscall.Close(fd) }()
	}
	if err := syscall.SetsockoptInt(fd, syscall.SOL_SOCKET, syscall.SO_REUSEADDR, 1); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Bind(fd, &syscall.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}); err != nil {
		t.Fatal(err)
	}
	name, err := syscall.Getsockname(fd)
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf("127.0.0.1:%d", name.(*syscall.SockaddrInet4).Port)
}

func (d *daemon) run() {
	d.t.Helper()
	cmd := exec.Command(binary)
	cmd.Dir = d.dir
	out, err := cmd.StderrPipe()
	if err != nil {
		d.t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		d.t.Fatal(err)
	}
	d.cmd = cmd
	d.ended = make(chan error, 1)
	serving := make(chan struct{})
	go func() {
		in := bufio.NewScanner(out)
		in.Buffer(nil, 1<<20)
		for in.Scan() {
			d.mu.Lock()
			d.log.Write(append(in.Bytes(), '\n'))
			d.mu.Unlock()
			if strings.Contains(in.Text(), `"msg":"listening"`) {
				close(serving)
			}
		}
		d.ended <- cmd.Wait()
	}()
	select {
	case <-serving:
	case err := <-d.ended:
		d.cmd = nil
		d.t.Fatalf("watchdogd ended: %v\n%s", err, d.logged())
	case <-time.After(soonEnough):
		d.t.Fatalf("watchdogd does not listen\n%s", d.logged())
	}
}

func (d *daemon) stop() {
	if d.cmd == nil {
		return
	}
	_ = d.cmd.Process.Signal(syscall.SIGTERM)
	_ = d.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-d.ended:
	case <-time.After(soonEnough):
		_ = d.cmd.Process.Kill()
		d.t.Errorf("after SIGTERM: got no end of watchdogd in %v, want one", soonEnough)
	}
	d.cmd = nil
}

func (d *daemon) logged() string {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.log.String()
}

// process is a route or service as /v1/ps has it.
type process struct {
	Name      string `json:"name"`
	State     string `json:"state"`
	Instances []struct {
		PID int `json:"pid"`
	} `json:"instances"`
}

// pids are those of the instances that run.
func (p process) pids() (all []int) {
	for _, i := range p.Instances {
		if i.PID != 0 {
			all = append(all, i.PID)
		}
	}
	return all
}

// ps asks the admin API without a token for a route.
func (d *daemon) ps(name string) (p process) {
	d.t.Helper()
	response, err := http.Get("http://" + d.admin + "/v1/ps/" + name)
	if err != nil {
		d.t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	if err := json.NewDecoder(response.Body).Decode(&p); err != nil {
		d.t.Fatal(err)
	}
	return p
}

// until waits for a route to be as wanted.
func (d *daemon) until(name, what string, wanted func(process) bool) process {
	d.t.Helper()
	deadline := time.Now().Add(soonEnough)
	for {
		p := d.ps(name)
		if wanted(p) {
			return p
		}
		if time.Now().After(deadline) {
			d.t.Fatalf("%s: got %+v, want %s", name, p, what)
		}
		<-time.After(20 * time.Millisecond)
	}
}

// call sends a request to the public listener.
func (d *daemon) call(path, body string) int {
	d.t.Helper()
	response, err := http.Post("http://"+d.public+path, "text/plain", strings.NewReader(body))
	if err != nil {
		d.t.Fatal(err)
	}
	_ = response.Body.Close()
	return response.StatusCode
}
