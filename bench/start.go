package main

import (
	"bufio"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// benchStart measures a start in the environment mode: from exec to the first 200, the
// CPU time until then and the memory then. The peer is a program of baseline/, which has
// the same libraries and does nothing.
func benchStart(l *lab) error {
	baseline := filepath.Join(l.dir, "baseline")
	build := exec.Command("go", "build", "-trimpath", "-ldflags", "-s -w", "-o", baseline, ".")
	build.Dir = filepath.Join("bench", "baseline")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		return fmt.Errorf("build the baseline: %w\n%s", err, out)
	}
	started := func(name, program, path string, more ...string) candidate {
		return candidate{name, func() (figures, error) {
			address, err := free() // one may be another's by the next round
			if err != nil {
				return nil, err
			}
			metrics, err := free()
			if err != nil {
				return nil, err
			}
			_, port, _ := net.SplitHostPort(address)
			_, metricsPort, _ := net.SplitHostPort(metrics)
			return start(address, path, program, append([]string{"PATH=" + os.Getenv("PATH"), "TMPDIR=" + l.dir, "LISTEN=" + address, "port=" + port, "metrics_port=" + metricsPort}, more...))
		}}
	}
	return compareIn(20**rounds, "exec to the first 200", map[string]string{"wall": "ms", "cpu": "ms", "rss": "KiB"},
		started("streaming, /_/health", l.watchdogd, "/_/health", "fprocess=cat"),
		started("streaming, a call of cat", l.watchdogd, "/", "fprocess=cat"),
		started("baseline", baseline, "/"),
	)
}

// start starts a program, asks it until it answers, and kills it.
func start(address, path, program string, environ []string) (figures, error) {
	cmd := exec.Command(program)
	cmd.Env = environ
	began := time.Now()
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	status, err := firstAnswer(address, path)
	wall := time.Since(began)
	rss := residentKiB(cmd.Process.Pid)
	_ = cmd.Process.Kill() // an error is seen by Wait
	_ = cmd.Wait()         // killed
	if err == nil && status != http.StatusOK {
		err = fmt.Errorf("status %d", status)
	}
	if err != nil {
		return nil, fmt.Errorf("ask %s for %s: %w", program, path, err)
	}
	cpu := cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()
	return figures{"wall": wall.Seconds() * 1e3, "cpu": cpu.Seconds() * 1e3, "rss": rss}, nil
}

// firstAnswer asks until it is answered, and gives the status.
func firstAnswer(address, path string) (int, error) {
	for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(50 * time.Microsecond) {
		status, err := ask(address, path, deadline)
		if err == nil || time.Now().After(deadline) {
			return status, err
		}
	}
}

func ask(address, path string, deadline time.Time) (int, error) {
	conn, err := net.Dial("tcp", address)
	if err != nil {
		return 0, err
	}
	defer conn.Close()
	_ = conn.SetDeadline(deadline) // a socket takes one
	if _, err := fmt.Fprintf(conn, "GET %s HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n", path); err != nil {
		return 0, err
	}
	response, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		return 0, err
	}
	return response.StatusCode, response.Body.Close()
}

// residentKiB is the memory of a process, 0 if nobody knows.
func residentKiB(pid int) float64 {
	text, _ := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid)) // without one the figure is 0
	_, rest, _ := strings.Cut(string(text), "VmRSS:")
	fields := strings.Fields(rest)
	if len(fields) == 0 {
		return 0
	}
	kib, _ := strconv.ParseFloat(fields[0], 64) // the kernel writes numbers
	return kib
}
