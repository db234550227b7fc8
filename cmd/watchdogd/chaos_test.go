package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/watchdogd/watchdogd/supervisor"
)

const chaotic = `
server: {listen: "LISTEN"}
log: {access: false}
defaults: {timeouts: {queue: 1m, exec: 1m}, restart: {min: 10ms, max: 200ms, give_up: {exits: 1000000, within: 1s}}, stop: {grace: 20s}}
routes:
  - {name: web, mode: http, fprocess: SELF, replicas: 2, env: {VERSION: "1"}}
  - {name: recycled, mode: http, fprocess: SELF, replicas: 2, recycle: {requests: 50}}
  - {name: up, mode: streaming, fprocess: tr a-z A-Z}
`

// Kills, restarts, scaling, recycling and reloads at once, under a constant load of
// 200 calls a second: no call fails but one that an instance had in its hands when it was
// killed, which is told so, and in the end nothing is left.
//
// WATCHDOGD_CHAOS is how long (60s in CI, else 5s), WATCHDOGD_SEED repeats a run.
func TestChaosLosesNoCall(t *testing.T) {
	length := 5 * time.Second
	if os.Getenv("CI") != "" {
		length = time.Minute
	}
	if text := os.Getenv("WATCHDOGD_CHAOS"); text != "" {
		var err error
		if length, err = time.ParseDuration(text); err != nil {
			t.Fatal(err)
		}
	}
	seed := uint64(time.Now().UnixNano())
	if text := os.Getenv("WATCHDOGD_SEED"); text != "" {
		var err error
		if seed, err = strconv.ParseUint(text, 10, 64); err != nil {
			t.Fatal(err)
		}
	}
	t.Logf("WATCHDOGD_SEED=%d WATCHDOGD_CHAOS=%s", seed, length)

	d := serveFile(t, chaotic).waitListening()
	for _, prefix := range []string{"/web", "/recycled"} {
		d.pid(prefix)
	}
	d.settle()
	before := d.descriptors()

	c := &chaos{d: d, random: rand.New(rand.NewPCG(seed, seed))}
	ctx, cancel := context.WithTimeout(context.Background(), length)
	defer cancel()
	var load sync.WaitGroup
	load.Go(func() { c.load(ctx) })
	c.disturb(ctx)
	load.Wait()

	t.Logf("%d calls, %d kills, %d other disturbances, %d calls lost to a kill", c.calls, c.kills, c.disturbances, c.lost)
	if c.calls == 0 {
		t.Error("got no call, want some load")
	}
	d.settle()
	pids := d.children()
	// what remains: at most a few connections of the pools to other instances than before
	poll(t, fmt.Sprintf("at most 32 descriptors more than the %d before", before), func() bool { return d.descriptors() <= before+32 })
	d.signal(syscall.SIGTERM)
	if status := d.wait(); status != 0 {
		t.Errorf("got exit status %d, want 0", status)
	}
	for _, pid := range pids {
		if !gone(pid) {
			t.Errorf("process %d was left behind", pid)
		}
	}
	sockets, _ := filepath.Glob(filepath.Join(d.runtimeDir(), "watchdogd", "*")) // a pattern of ours is no bad pattern
	if len(sockets) > 0 {
		t.Errorf("left behind: got %v, want none", sockets)
	}
}

// chaos is one run.
type chaos struct {
	d      *daemonUnderTest
	random *rand.Rand

	disturbances int

	mu    sync.Mutex
	kills int
	calls int
	lost  int
}

// load makes 200 calls a second until ctx ends, and waits for the last answer.
func (c *chaos) load(ctx context.Context) {
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 50}, Timeout: 2 * patience}
	defer client.CloseIdleConnections()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	var calls sync.WaitGroup
	defer calls.Wait()
	room := make(chan struct{}, 200)
	for n := 0; ; n++ {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		room <- struct{}{}
		calls.Go(func() {
			defer func() { <-room }()
			switch n % 8 {
			case 0:
				c.call(client, http.MethodPost, "/up", "hello", "HELLO")
			case 1, 2:
				c.call(client, http.MethodPost, "/web/x", strings.Repeat("x", 2000), "POST /x")
			case 3, 4:
				c.call(client, http.MethodGet, "/recycled/x", "", "GET /x")
			default:
				c.call(client, http.MethodGet, "/web/x", "", "GET /x")
			}
		})
	}
}

// call makes one call and accounts for it.
func (c *chaos) call(client *http.Client, method, path, body, want string) {
	began := time.Now()
	var got string
	status := 0
	request, err := http.NewRequest(method, c.d.base+path, strings.NewReader(body))
	if err == nil {
		var response *http.Response
		if response, err = client.Do(request); err == nil {
			var text []byte
			text, err = io.ReadAll(response.Body)
			_ = response.Body.Close() // read to its end
			got, status = string(text), response.StatusCode
		}
	}
	ended := time.Now()
	c.mu.Lock()
	defer c.mu.Unlock()
	c.calls++
	if err == nil && status == http.StatusOK && strings.HasPrefix(got, want) {
		return
	}
	if status == http.StatusBadGateway && strings.Contains(got, "the process ended during this call: killed by SIGKILL") && c.kills > 0 {
		c.lost++ // only this test kills here
		return
	}
	c.d.t.Errorf("%s %s after %s: status %d, error %v, %.300q", method, path, ended.Sub(began), status, err, got)
}

// disturb does one thing after another until ctx ends.
func (c *chaos) disturb(ctx context.Context) {
	version := 1
	for ctx.Err() == nil {
		switch c.random.IntN(6) {
		case 0, 1:
			c.kill()
		case 2:
			c.do("restart", "web")
		case 3:
			c.do("scale", fmt.Sprintf("web=%d", 1+c.random.IntN(4)))
		case 4:
			c.do("scale", fmt.Sprintf("recycled=%d", 1+c.random.IntN(3)))
		case 5:
			version++
			c.d.write(strings.Replace(chaotic, `"1"`, strconv.Quote(strconv.Itoa(version)), 1))
			c.do("reload")
		}
		select {
		case <-ctx.Done():
		case <-time.After(time.Duration(c.random.IntN(300)) * time.Millisecond):
		}
	}
}

// kill kills one instance of a route that has several ready ones.
func (c *chaos) kill() {
	for _, s := range c.d.ps() {
		if s.Name != "web" && s.Name != "recycled" || c.random.IntN(2) == 0 {
			continue
		}
		for _, i := range s.Instances {
			if i.PID == 0 || i.State != supervisor.Ready {
				continue
			}
			c.mu.Lock()
			c.kills++
			c.mu.Unlock()
			_ = syscall.Kill(i.PID, syscall.SIGKILL) // it may have gone meanwhile
			return
		}
	}
}

// do runs one command. One that a kill came across may fail.
func (c *chaos) do(args ...string) {
	c.disturbances++
	out, errOut, status := c.d.command(args...)
	if status != 0 && c.kills == 0 {
		c.d.t.Errorf("%v: status %d: %s%s", args, status, out, errOut)
	}
}

// ps is the list of ps.
func (d *daemonUnderTest) ps() []supervisor.Status {
	d.t.Helper()
	out, errOut, status := d.command("ps", "--json")
	var list []supervisor.Status
	if err := json.Unmarshal([]byte(out), &list); err != nil || status != 0 {
		d.t.Errorf("ps: status %d, %v: got %s, want no error and 0", status, err, errOut)
	}
	return list
}

// settle waits until every process is where it is meant to be.
func (d *daemonUnderTest) settle() {
	d.t.Helper()
	poll(d.t, "the processes to settle", func() bool {
		status, _ := d.get("/_/ready")
		if status != http.StatusOK {
			return false
		}
		for _, s := range d.ps() {
			for _, i := range s.Instances {
				if i.State != supervisor.Ready {
					return false
				}
			}
		}
		return true
	})
}

// children are the pids of all instances.
func (d *daemonUnderTest) children() []int {
	var pids []int
	for _, s := range d.ps() {
		for _, i := range s.Instances {
			pids = append(pids, i.PID)
		}
	}
	return pids
}

// descriptors is how many files watchdogd has open; 0 where /proc does not tell.
func (d *daemonUnderTest) descriptors() int {
	entries, _ := os.ReadDir(fmt.Sprintf("/proc/%d/fd", d.cmd.Process.Pid)) // not on macOS
	return len(entries)
}

// runtimeDir is $XDG_RUNTIME_DIR of the watchdogd under test.
func (d *daemonUnderTest) runtimeDir() string {
	for _, v := range d.cmd.Env {
		if dir, ok := strings.CutPrefix(v, "XDG_RUNTIME_DIR="); ok {
			return dir
		}
	}
	return ""
}
