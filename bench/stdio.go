package main

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"time"
)

// benchWarm measures what a caller waits for who comes now and then: the median of paced
// calls of programs that are started ahead, and of the same that are not.
func benchWarm(l *lab) error {
	python, err := exec.Command("python3", "-c", "import sys; print(sys.executable)").Output() // not a shim of it
	if err != nil {
		return fmt.Errorf("python3: %w", err)
	}
	for _, p := range []struct {
		name  string
		words []string
		pause time.Duration // longer than the program takes to start
		calls int
	}{
		{"cat", []string{"/bin/cat"}, 20 * time.Millisecond, 100},
		{"python3", []string{strings.TrimSpace(string(python)), "-c", "import sys; sys.stdout.write(sys.stdin.read())"}, 400 * time.Millisecond, 10},
		{"node", []string{"node", "-e", "process.stdin.pipe(process.stdout)"}, 600 * time.Millisecond, 10},
	} {
		route := func(name, more string) string {
			words, _ := json.Marshal(p.words) // strings are always JSON
			return fmt.Sprintf("- {name: %s, mode: streaming, fprocess: %s, %s}\n", name, words, more)
		}
		address, _, err := l.watchdogdWith(p.name, route("ahead", "warm: 2")+route("fork", "warm: 0"))
		if err != nil {
			return err
		}
		paced := func(path string) func() (figures, error) {
			return func() (figures, error) {
				return paced(p.calls, p.pause, func() error { return post("http://"+address+path, "hello") })
			}
		}
		if err := compare(p.name+", paced", units, candidate{"warm: 2", paced("/ahead")}, candidate{"not warm", paced("/fork")}); err != nil {
			return err
		}
		l.stopAll()
	}
	return nil
}

// paced makes calls one at a time with a pause before each.
func paced(calls int, pause time.Duration, call func() error) (figures, error) {
	took := make([]float64, 0, calls)
	for range calls {
		time.Sleep(pause)
		began := time.Now()
		if err := call(); err != nil {
			return nil, err
		}
		took = append(took, float64(time.Since(began).Microseconds()))
	}
	return figures{"p50": median(took), "p99": took[len(took)*99/100]}, nil // median has sorted them
}

func get(url string) error {
	resp, err := http.Get(url)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	_, err = io.Copy(io.Discard, resp.Body)
	if err == nil && resp.StatusCode != http.StatusOK {
		err = fmt.Errorf("answered %d", resp.StatusCode)
	}
	return err
}

func post(url, body string) error {
	resp, err := http.Post(url, "text/plain", strings.NewReader(body))
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	got, err := io.ReadAll(resp.Body)
	if err == nil && (resp.StatusCode != http.StatusOK || len(got) < len(body)) {
		err = fmt.Errorf("answered %d %q", resp.StatusCode, got)
	}
	return err
}

// benchAfterburn measures workers that wait for 5 ms in each call.
func benchAfterburn(l *lab) error {
	worker, err := l.compile("worker.c")
	if err != nil {
		return err
	}
	route := func(name string, replicas int) string {
		return fmt.Sprintf("- {name: %s, mode: afterburn, fprocess: %q, replicas: %d}\n", name, worker, replicas)
	}
	address, pid, err := l.watchdogdWith("afterburn", route("many", 16)+route("one", 1))
	if err != nil {
		return err
	}
	load := func(path string) func() (figures, error) {
		return func() (figures, error) { return wrk("http://"+address+path, "", 32, pid) }
	}
	return compare("5 ms of sleep, c=32", units, candidate{"16 workers", load("/many")}, candidate{"one", load("/one")})
}

// benchMemory measures the most memory that watchdogd has had after one large body.
func benchMemory(l *lab) error {
	for _, m := range []struct {
		mode string
		size int64
	}{{"serializing", 256 << 20}, {"streaming", 1 << 30}} {
		body := filepath.Join(l.dir, "body")
		if err := os.WriteFile(body, nil, 0o644); err != nil {
			return err
		}
		if err := os.Truncate(body, m.size); err != nil {
			return err
		}
		err := compare(fmt.Sprintf("%s, %d MiB", m.mode, m.size>>20), units, candidate{"watchdogd", func() (figures, error) {
			defer l.stopAll() // each round has a watchdogd of its own
			address, pid, err := l.watchdogdWith("memory", fmt.Sprintf("- {name: cat, mode: %s, fprocess: /bin/cat, timeouts: {exec: 10m}}\n", m.mode))
			if err != nil {
				return nil, err
			}
			return curl([]string{"-w", "%{speed_upload}", "-H", "Expect:", "-T", body, "http://" + address + "/cat"}, pid)
		}})
		if err != nil {
			return err
		}
	}
	return nil
}

// benchCrowd measures 200 calls at once, each with its process.
func benchCrowd(l *lab) error {
	return compare("200 at once", units, candidate{"watchdogd", func() (figures, error) {
		defer l.stopAll()
		address, pid, err := l.watchdogdWith("crowd", "- {name: wait, mode: streaming, shell: true, fprocess: 'cat; exec sleep 1'}\n")
		if err != nil {
			return nil, err
		}
		var calls sync.WaitGroup
		errs := make(chan error, 200)
		for range cap(errs) {
			calls.Go(func() { errs <- post("http://"+address+"/wait", "hello") })
		}
		calls.Wait()
		for range cap(errs) {
			if err := <-errs; err != nil {
				return nil, err
			}
		}
		status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid)) // threads stay once they are there
		if err != nil {
			return nil, err
		}
		return figures{"threads": first(regexp.MustCompile(`Threads:\s+(\d+)`), string(status)), "rss": peakRSS(pid)}, nil
	}})
}

// watchdogdWith starts a watchdogd of these routes.
func (l *lab) watchdogdWith(name, routes string) (address string, pid int, err error) {
	if address, err = free(); err != nil {
		return "", 0, err
	}
	w, err := l.start(l.watchdogd, "-c", l.file(name+".yaml", fmt.Sprintf("server: {listen: %q}\nroutes:\n%s", address, routes)))
	if err != nil {
		return "", 0, err
	}
	return address, w.Process.Pid, await(address)
}
