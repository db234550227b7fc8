package main

import (
	"fmt"
	"io"
	"net/http"
	"os/exec"
	"strings"
	"time"
)

// benchScale measures what one node carries: routes that are run elsewhere and are called as
// functions of the gateway, and processes.
func benchScale(l *lab) error {
	upstream, err := l.upstream()
	if err != nil {
		return err
	}
	for _, n := range []int{100, 1000, 10000} {
		err := compare(fmt.Sprintf("%d functions", n), units, candidate{"watchdogd", func() (figures, error) { return l.functions(n, upstream) }})
		if err != nil {
			return err
		}
	}
	for _, n := range []int{10, 100, 1000} {
		err := compare(fmt.Sprintf("%d processes", n), units, candidate{"watchdogd", func() (figures, error) { return l.processes(n) }})
		if err != nil {
			return err
		}
	}
	return nil
}

// functions measures a file of n routes: until it serves, its memory, a reload, and after
// one call of a thousand of them by the gateway its memory, and what ps lists.
func (l *lab) functions(n int, upstream string) (figures, error) {
	defer l.stopLast() // each round has a watchdogd of its own
	var routes strings.Builder
	for i := range n {
		fmt.Fprintf(&routes, "- {name: f%d, upstream: %q}\n", i, "http://"+upstream)
	}
	began := time.Now()
	address, pid, err := l.watchdogdWith("scale", routes.String()+"gateway: {functions: /function}\n")
	if err != nil {
		return nil, err
	}
	f := figures{"start_s": time.Since(began).Seconds(), "rss_start": residentKiB(pid) / 1024}
	began = time.Now()
	if out, err := exec.Command(l.watchdogd, "reload", "-c", l.dir+"/scale.yaml").CombinedOutput(); err != nil {
		return nil, fmt.Errorf("reload: %w\n%s", err, out)
	}
	f["reload_s"] = time.Since(began).Seconds()
	before := cpuSeconds(pid)
	called := min(n, 1000) // each keeps a connection, of which the upstream has no more than 4096
	for i := range called {
		if _, err := read(fmt.Sprintf("http://%s/function/f%d/bytes/16", address, i)); err != nil {
			return nil, err
		}
	}
	f["us_a_call"] = (cpuSeconds(pid) - before) * 1e6 / float64(called)
	f["rss_called"] = residentKiB(pid) / 1024
	out, err := exec.Command(l.watchdogd, "ps", "-c", l.dir+"/scale.yaml", "--json").Output()
	if err != nil {
		return nil, fmt.Errorf("ps: %w", err)
	}
	f["ps_KiB"] = float64(len(out)) / 1024
	return f, nil
}

// processes measures n processes that do nothing: until all have been started, our memory
// for them, and our CPU while they run.
func (l *lab) processes(n int) (figures, error) {
	defer l.stopLast()
	var services strings.Builder
	for i := range n {
		fmt.Fprintf(&services, "- {name: s%d, fprocess: sleep 1000}\n", i)
	}
	began := time.Now()
	address, pid, err := l.watchdogdWith("scale", "- {name: hello, mode: streaming, fprocess: echo hello}\nservices:\n"+services.String())
	if err != nil {
		return nil, err
	}
	for {
		if _, err := read("http://" + address + "/_/ready"); err == nil {
			break
		}
		if time.Since(began) > time.Minute {
			return nil, fmt.Errorf("%d processes are not ready after a minute", n)
		}
		time.Sleep(5 * time.Millisecond)
	}
	f := figures{"start_s": time.Since(began).Seconds(), "cpu_start_s": cpuSeconds(pid), "rss_start": residentKiB(pid) / 1024}
	before := cpuSeconds(pid)
	time.Sleep(idleTime)
	f["idle_cpu_%"] = (cpuSeconds(pid) - before) / idleTime.Seconds() * 100
	return f, nil
}

// idleTime is how long processes are watched while they do nothing.
const idleTime = 10 * time.Second

// read returns the body of a GET that succeeds.
func read(url string) ([]byte, error) {
	response, err := http.Get(url)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err == nil && response.StatusCode != http.StatusOK {
		err = fmt.Errorf("GET %s: %s: %s", url, response.Status, body)
	}
	return body, err
}
