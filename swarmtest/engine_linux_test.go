package swarmtest

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// The network of the bridge, on which engine n has address n.
const (
	network = "10.99.0."
	worldIP = network + "254"
)

// patience bounds every wait for what must happen; a test that passes does not reach it.
const patience = 3 * time.Minute

// engine is one dockerd, in namespaces of its own.
type engine struct {
	number int
	name   string // of the host
	ip     string
	dir    string
	api    *http.Client
	first  *exec.Cmd // the first process of its PID namespace; nil when it is killed
	ended  chan struct{}
}

func newEngine(number int) *engine {
	e := &engine{number: number, name: "node" + strconv.Itoa(number), ip: network + strconv.Itoa(number)}
	e.dir = filepath.Join(folder, e.name)
	e.api = &http.Client{Timeout: patience, Transport: &http.Transport{
		DisableKeepAlives: true, // it is killed
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "unix", e.socket())
		},
	}}
	return e
}

func (e *engine) socket() string { return filepath.Join(e.dir, "docker.sock") }
func (e *engine) link() string   { return e.name }

// start starts the engine, with what it has kept, and waits until it answers.
func (e *engine) start() error {
	if err := os.MkdirAll(e.dir, 0o755); err != nil {
		return err
	}
	first, err := again(asEngine + "=" + strconv.Itoa(e.number) + " " + e.dir)
	if err != nil {
		return err
	}
	log, err := os.OpenFile(e.log(), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	defer log.Close()
	first.Stdout, first.Stderr = log, log
	connected, err := first.StdinPipe()
	if err != nil {
		return err
	}
	if err := first.Start(); err != nil {
		return err
	}
	e.first, e.ended = first, make(chan struct{})
	go func() {
		_ = first.Wait() // however it ends
		close(e.ended)
	}()
	_ = ip("link", "del", e.link()) // of its last life, if the kernel has not removed it yet
	for _, args := range []string{
		fmt.Sprintf("link add %s type veth peer name eth0 netns %d", e.link(), first.Process.Pid),
		"link set " + e.link() + " master bridge up",
	} {
		if err := ip(strings.Fields(args)...); err != nil {
			return err
		}
	}
	_ = connected.Close() // it goes on; or it has ended, and does not answer
	return e.answers()
}

func (e *engine) log() string { return filepath.Join(e.dir, "log") }

// answers waits until the engine answers.
func (e *engine) answers() error {
	for end := time.Now().Add(patience); ; pause() {
		var version any
		err := e.get("/version", &version)
		if err == nil {
			return nil
		}
		select {
		case <-e.ended:
			return fmt.Errorf("%s has ended: %s", e.name, e.lastLines())
		default:
		}
		if time.Now().After(end) {
			return fmt.Errorf("%s does not answer: %w: %s", e.name, err, e.lastLines())
		}
	}
}

// lastLines are the last lines of the engine's log.
func (e *engine) lastLines() string {
	log, err := os.ReadFile(e.log())
	if err != nil {
		return err.Error()
	}
	return string(log[max(0, len(log)-3000):])
}

// get asks the engine's API.
func (e *engine) get(path string, v any) error {
	response, err := e.api.Get("http://engine" + path)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		why, _ := io.ReadAll(response.Body) // what came of it
		return fmt.Errorf("GET %s: %s: %s", path, response.Status, why)
	}
	return json.NewDecoder(response.Body).Decode(v)
}

// stop kills the engine and all its containers at once.
func (e *engine) stop() {
	_ = e.first.Process.Kill() // unless it has ended
	<-e.ended
	e.first = nil
}

// command returns a command of the docker CLI for this engine, or another program in the
// engine's network namespace.
func (e *engine) command(program string, args ...string) *exec.Cmd {
	cmd := exec.Command(program, args...)
	if program != "docker" {
		cmd = exec.Command("nsenter", append([]string{fmt.Sprintf("--net=/proc/%d/ns/net", e.first.Process.Pid), program}, args...)...)
	}
	cmd.Env = append(os.Environ(), "DOCKER_HOST=unix://"+e.socket(), "DOCKER_CONFIG="+folder, "DOCKER_BUILDKIT=0")
	return cmd
}

// docker runs the docker CLI and returns what it prints.
func (e *engine) docker(args ...string) (string, error) {
	out, err := e.command("docker", args...).Output()
	if err != nil {
		stderr := ""
		if exit, ok := err.(*exec.ExitError); ok {
			stderr = string(exit.Stderr)
		}
		return "", fmt.Errorf("docker %s on %s: %w: %s", strings.Join(args, " "), e.name, err, stderr)
	}
	return strings.TrimSpace(string(out)), nil
}

// must runs the docker CLI, which must succeed.
func (e *engine) must(t *testing.T, args ...string) string {
	t.Helper()
	out, err := e.docker(args...)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// kill kills the engine with its containers. It is started again when the test ends, unless
// the test does so.
func (e *engine) kill(t *testing.T) {
	t.Helper()
	e.stop()
	t.Cleanup(func() {
		if e.first == nil {
			e.again(t)
		}
	})
}

// again starts an engine that was killed.
func (e *engine) again(t *testing.T) {
	t.Helper()
	if err := e.start(); err != nil {
		t.Fatal(err)
	}
}

// cut cuts the engine off from the others; it is connected again when the test ends, unless
// connect is called before.
func (e *engine) cut(t *testing.T) {
	t.Helper()
	if err := ip("link", "set", e.link(), "nomaster"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { e.connect(t) })
}

func (e *engine) connect(t *testing.T) {
	t.Helper()
	if err := ip("link", "set", e.link(), "master", "bridge"); err != nil {
		t.Fatal(err)
	}
}

// runEngine is the first process of an engine's PID namespace: it starts dockerd, and reaps
// the orphans.
func runEngine(role string) int {
	number, dir, _ := strings.Cut(role, " ")
	if err := prepareEngine(number, dir); err != nil {
		fmt.Println("swarmtest: engine", number+":", err)
		return 1
	}
	cgroup := "/" + filepath.Base(filepath.Dir(dir)) + "/" + filepath.Base(dir)
	dockerd := exec.Command("dockerd", "--data-root", filepath.Join(dir, "data"), "--exec-root", "/run/docker", "--pidfile", "/run/docker.pid",
		"-H", "unix://"+filepath.Join(dir, "docker.sock"), "-H", "unix:///run/docker.sock", "--exec-opt", "native.cgroupdriver=cgroupfs", "--cgroup-parent", cgroup)
	dockerd.Stdout, dockerd.Stderr = os.Stdout, os.Stderr
	if err := dockerd.Start(); err != nil {
		fmt.Println("swarmtest: engine", number+":", err)
		return 1
	}
	for {
		var status syscall.WaitStatus
		pid, err := syscall.Wait4(-1, &status, 0, nil)
		switch {
		case err == syscall.EINTR:
		case err != nil:
			return 1
		case pid == dockerd.Process.Pid:
			return 1 // and with this process everything in the namespace
		}
	}
}

// prepareEngine waits for the engine's end of its link, and hides from the engine what others
// use: /run is its own, and what it writes to /etc and /opt is not kept.
func prepareEngine(number, dir string) error {
	_, _ = io.Copy(io.Discard, os.Stdin) // closed when eth0 is there
	if err := ownMounts(); err != nil {
		return err
	}
	if err := syscall.Sethostname([]byte("node" + number)); err != nil {
		return err
	}
	if err := syscall.Mount("tmpfs", "/run", "tmpfs", 0, "mode=755"); err != nil {
		return fmt.Errorf("mount /run: %w", err)
	}
	for _, hidden := range []string{"/etc", "/opt"} {
		upper, work := "/run/upper"+hidden, "/run/work"+hidden
		for _, d := range []string{upper, work, hidden} {
			if err := os.MkdirAll(d, 0o755); err != nil {
				return err
			}
		}
		if err := syscall.Mount("overlay", hidden, "overlay", 0, "lowerdir="+hidden+",upperdir="+upper+",workdir="+work); err != nil {
			return fmt.Errorf("mount %s: %w", hidden, err)
		}
	}
	_ = os.RemoveAll("/etc/docker")   // a daemon.json is of another engine
	_ = os.Remove("/etc/resolv.conf") // it may be a link
	if err := os.WriteFile("/etc/resolv.conf", []byte("nameserver "+worldIP+"\n"), 0o644); err != nil {
		return err
	}
	for _, args := range []string{
		"link set lo up",
		"addr add " + network + number + "/24 dev eth0",
		"link set eth0 up",
		"route add default via " + worldIP,
	} {
		if err := ip(strings.Fields(args)...); err != nil {
			return err
		}
	}
	_ = os.Remove(filepath.Join(dir, "docker.sock")) // of its last life
	return nil
}

// pause is the time between two looks at what nothing announces.
func pause() { time.Sleep(20 * time.Millisecond) }
