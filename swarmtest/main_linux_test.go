package swarmtest

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

// What the test binary is: started by go test, the first process of the world, or the first
// process of an engine.
const (
	asWorld  = "WATCHDOGD_SWARMTEST_WORLD"
	asEngine = "WATCHDOGD_SWARMTEST_ENGINE"
)

// prefix begins the names of the temporary folders and cgroups of every run.
const prefix = "watchdogd-swarmtest-"

var (
	folder     string // of this run: what engines keep, and images are built of
	impossible string // why no engine can be started here
)

func TestMain(m *testing.M) {
	if n := os.Getenv(asEngine); n != "" {
		os.Exit(runEngine(n))
	}
	if folder = os.Getenv(asWorld); folder != "" {
		os.Exit(inWorld(m))
	}
	if impossible = missing(); impossible != "" {
		os.Exit(m.Run())
	}
	code, err := startWorld()
	if err != nil {
		fmt.Fprintln(os.Stderr, "swarmtest:", err)
		code = 1
	}
	os.Exit(code)
}

// missing returns why engines cannot be started here, or nothing.
func missing() string {
	if os.Getuid() != 0 {
		return "dockerd, and the namespaces that it is started in, need root"
	}
	for _, p := range []struct{ program, of string }{{"dockerd", "docker.io"}, {"containerd", "containerd"}, {"docker", "docker.io"}, {"ip", "iproute2"}, {"iptables", "iptables"}, {"nsenter", "util-linux"}, {"curl", "curl"}} {
		if _, err := exec.LookPath(p.program); err != nil {
			return fmt.Sprintf("%s is missing: apt-get install %s", p.program, p.of)
		}
	}
	for _, family := range []string{"bridge", "veth", "vxlan"} {
		probe := exec.Command("ip", "link", "add", "probe", "type", family)
		if family == "vxlan" {
			probe.Args = append(probe.Args, "id", "1", "dstport", "4789")
		}
		probe.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET}
		if out, err := probe.CombinedOutput(); err != nil {
			return fmt.Sprintf("the kernel makes no interface of type %s in a network namespace: %v: %s", family, err, out)
		}
	}
	return ""
}

// startWorld runs the tests in their namespaces, and removes what they leave.
func startWorld() (code int, err error) {
	removeLeft()
	lock, err := newFolder()
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, remove(folder), lock.Close()) }()
	if err := build(); err != nil {
		return 0, err
	}
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP)
	runtime.LockOSThread() // whose end would be Pdeathsig
	world, err := again(asWorld + "=" + folder)
	if err != nil {
		return 0, err
	}
	world.SysProcAttr.Pdeathsig = syscall.SIGKILL
	if err := world.Start(); err != nil {
		return 0, err
	}
	ended := make(chan error, 1)
	go func() { ended <- world.Wait() }()
	select {
	case err = <-ended:
	case s := <-signals:
		_ = world.Process.Kill() // unless it has ended
		<-ended
		return 0, fmt.Errorf("ended by %v", s)
	}
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		return max(exit.ExitCode(), 1), nil
	}
	return 0, err
}

// newFolder makes the folder of this run. It is locked before it has the name by which others
// take it for one that was left.
func newFolder() (lock *os.File, err error) {
	fresh, err := os.MkdirTemp("", "new-"+prefix)
	if err != nil {
		return nil, err
	}
	lock, err = os.Create(filepath.Join(fresh, "lock"))
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		return nil, err
	}
	folder = filepath.Join(os.TempDir(), strings.TrimPrefix(filepath.Base(fresh), "new-"))
	return lock, os.Rename(fresh, folder)
}

// images is the folder that images are built of.
func images() string { return filepath.Join(folder, "images") }

// build builds the programs of the images, without cgo: the images hold nothing else. The
// world has no way to the Internet, from which go build may have to get modules.
func build() error {
	for _, p := range []struct{ from, of, name string }{{"..", "./cmd/watchdogd", "watchdogd"}, {".", "./fn", "function"}} {
		cmd := exec.Command("go", "build", "-buildvcs=false", "-trimpath", "-ldflags", "-s -w", "-o", filepath.Join(images(), p.name), p.of)
		cmd.Dir, cmd.Env = p.from, append(os.Environ(), "CGO_ENABLED=0")
		if out, err := cmd.CombinedOutput(); err != nil {
			return fmt.Errorf("build %s: %w: %s", p.of, err, out)
		}
	}
	return nil
}

// again returns the test binary as the first process of namespaces of its own.
func again(role string) (*exec.Cmd, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	cmd := exec.Command(self, os.Args[1:]...)
	cmd.Env = append(slices.DeleteFunc(os.Environ(), func(v string) bool { return strings.HasPrefix(v, "DOCKER_") }), role)
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWPID | syscall.CLONE_NEWNET | syscall.CLONE_NEWNS | syscall.CLONE_NEWUTS}
	return cmd, nil
}

// inWorld is the first process of the world.
func inWorld(m *testing.M) int {
	if err := prepare(); err != nil {
		fmt.Fprintln(os.Stderr, "swarmtest:", err)
		return 1
	}
	return m.Run()
}

// prepare makes what the engines are connected by: a bridge, and a name server.
func prepare() error {
	if err := ownMounts(); err != nil {
		return err
	}
	for _, args := range []string{
		"link set lo up",
		"link add bridge type bridge",
		"addr add " + worldIP + "/24 dev bridge",
		"link set bridge up",
	} {
		if err := ip(strings.Fields(args)...); err != nil {
			return err
		}
	}
	return serveNames()
}

// serveNames answers that no name exists. The engines ask it for names of the Internet, and
// would wait 25 s for Docker Hub, for each task, if nothing answered.
func serveNames() error {
	c, err := net.ListenPacket("udp", worldIP+":53")
	if err != nil {
		return err
	}
	go func() { // until the end of the process
		message := make([]byte, 4096)
		for {
			n, from, err := c.ReadFrom(message)
			if err != nil {
				return
			}
			if n < 12 {
				continue
			}
			message[2] |= 0x80                  // a response
			message[3] = message[3]&0xf0 | 3    // NXDOMAIN (RFC 1035, 4.1.1)
			_, _ = c.WriteTo(message[:n], from) // it asks again
		}
	}()
	return nil
}

// ownMounts ends the propagation of mounts to the namespace before, and shows the processes
// of this PID namespace.
func ownMounts() error {
	if err := syscall.Mount("", "/", "", syscall.MS_REC|syscall.MS_PRIVATE, ""); err != nil {
		return fmt.Errorf("make mounts private: %w", err)
	}
	if err := syscall.Mount("proc", "/proc", "proc", 0, ""); err != nil {
		return fmt.Errorf("mount proc: %w", err)
	}
	return nil
}

func ip(args ...string) error {
	if out, err := exec.Command("ip", args...).CombinedOutput(); err != nil {
		return fmt.Errorf("ip %s: %w: %s", strings.Join(args, " "), err, out)
	}
	return nil
}

// removeLeft removes what runs that were killed have left.
func removeLeft() {
	left, _ := filepath.Glob(filepath.Join(os.TempDir(), prefix+"*")) // the pattern is correct
	for _, dir := range left {
		lock, err := os.OpenFile(filepath.Join(dir, "lock"), os.O_RDWR|os.O_CREATE, 0o600)
		if err != nil {
			continue
		}
		if syscall.Flock(int(lock.Fd()), syscall.LOCK_EX|syscall.LOCK_NB) == nil { // its run is over
			if err := remove(dir); err != nil {
				fmt.Fprintln(os.Stderr, "swarmtest: left by an earlier run:", err)
			}
		}
		_ = lock.Close()
	}
}

// remove removes the folder of a run, and its cgroups: the kernel may use them for a moment
// after the end of their processes.
func remove(dir string) (err error) {
	for end := time.Now().Add(patience / 10); ; pause() {
		if err = removeOnce(dir); err == nil || time.Now().After(end) {
			return err
		}
	}
}

func removeOnce(dir string) error {
	errs := []error{os.RemoveAll(dir)}
	tops, _ := filepath.Glob("/sys/fs/cgroup/*/" + filepath.Base(dir)) // the pattern is correct
	for _, top := range append(tops, "/sys/fs/cgroup/"+filepath.Base(dir)) {
		var all []string
		_ = filepath.WalkDir(top, func(path string, entry fs.DirEntry, err error) error {
			if err == nil && entry.IsDir() {
				all = append(all, path)
			}
			return nil
		})
		for _, path := range slices.Backward(all) {
			errs = append(errs, os.Remove(path))
		}
	}
	return errors.Join(errs...)
}
