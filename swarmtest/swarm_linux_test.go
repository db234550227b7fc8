package swarmtest

import (
	"bufio"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// Images that every engine has.
const (
	gatewayImage  = "watchdogd:latest" // watchdogd, which reads /watchdog.yaml by the gateways' own command
	functionImage = "fn:1"             // a server of its own
	secondImage   = "fn:2"             // its next version
	catImage      = "echo:latest"      // cat for each request, behind a watchdogd in the image
	behindImage   = "behind:1"         // the same behind a watchdogd in the image
	behindSecond  = "behind:2"
)

// cluster is three engines that are one Swarm.
type cluster struct {
	engines []*engine
	nodes   map[string]*engine // by the id of the node

	explained string // the test whose failure is explained
}

// the is the cluster of all tests.
var the = struct {
	sync.Once
	*cluster
	err error
}{}

// swarm returns the cluster, which the first test starts. It skips the test where no engine
// can be started.
func swarm(t *testing.T) *cluster {
	t.Helper()
	if impossible != "" {
		t.Skipf("no Docker Swarm can be started here: %s", impossible)
	}
	the.Do(func() {
		begin := time.Now()
		the.cluster, the.err = newCluster()
		t.Logf("three engines and their images took %.1f s", time.Since(begin).Seconds())
	})
	if the.err != nil {
		t.Fatalf("got %v, want nil", the.err)
	}
	return the.cluster
}

func newCluster() (*cluster, error) {
	s := &cluster{nodes: map[string]*engine{}}
	var starting sync.WaitGroup
	errs := make([]error, 3)
	for n := range errs {
		s.engines = append(s.engines, newEngine(n+1))
		starting.Go(func() { errs[n] = s.engines[n].start() })
	}
	starting.Wait()
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	if err := s.join(); err != nil {
		return nil, err
	}
	if err := s.load(); err != nil {
		return nil, err
	}
	_, err := s.engines[0].docker("network", "create", "--driver", "overlay", "--attachable", "shared")
	return s, err
}

// join makes the engines managers of one Swarm.
func (s *cluster) join() error {
	lead := s.engines[0]
	if _, err := lead.docker("swarm", "init", "--advertise-addr", lead.ip, "--default-addr-pool", "10.100.0.0/16"); err != nil {
		return err
	}
	token, err := lead.docker("swarm", "join-token", "-q", "manager")
	if err != nil {
		return err
	}
	for _, e := range s.engines {
		for end := time.Now().Add(patience); e != lead; pause() {
			_, err := e.docker("swarm", "join", "--token", token, "--advertise-addr", e.ip, lead.ip+":2377")
			if err == nil || strings.Contains(err.Error(), "already part of a swarm") {
				break // the join that timed out went on
			}
			if time.Now().After(end) {
				return err
			}
		}
		for end := time.Now().Add(patience); ; pause() {
			id, err := e.docker("info", "--format", "{{.Swarm.NodeID}} {{.Swarm.LocalNodeState}}")
			if id, ok := strings.CutSuffix(id, " active"); ok && err == nil {
				s.nodes[id] = e
				break
			}
			if time.Now().After(end) {
				return fmt.Errorf("%s does not become a node: %s: %w", e.name, id, err)
			}
		}
	}
	return nil
}

// behind is the file of a function behind a watchdogd in its image.
const behind = `server: {listen: ":8080", drain: {delay: 3s}}
metrics: {listen: ":8081"}
routes:
  - name: fn
    path: /
    fprocess: /function
`

// load builds the images on the first engine, and loads them into the others.
func (s *cluster) load() error {
	context := images()
	if err := os.WriteFile(filepath.Join(context, "watchdog.yaml"), []byte(behind), 0o644); err != nil {
		return err
	}
	all := []string{}
	for _, i := range []struct{ name, dockerfile string }{
		{gatewayImage, "FROM scratch\nCOPY watchdogd /\nENTRYPOINT [\"/watchdogd\"]\n"},
		{functionImage, "FROM scratch\nCOPY function /\nENV VERSION=1\nENTRYPOINT [\"/function\"]\n"},
		{secondImage, "FROM scratch\nCOPY function /\nENV VERSION=2\nENTRYPOINT [\"/function\"]\n"},
		{catImage, "FROM scratch\nCOPY watchdogd /bin/\nCOPY function /bin/cat\nENV PATH=/bin fprocess=cat\nCMD [\"watchdogd\"]\n"},
		{behindImage, "FROM scratch\nCOPY watchdogd function watchdog.yaml /\nENV VERSION=1\nENTRYPOINT [\"/watchdogd\"]\nCMD [\"-c\", \"/watchdog.yaml\"]\n"},
		{behindSecond, "FROM scratch\nCOPY watchdogd function watchdog.yaml /\nENV VERSION=2\nENTRYPOINT [\"/watchdogd\"]\nCMD [\"-c\", \"/watchdog.yaml\"]\n"},
	} {
		file := filepath.Join(context, "Dockerfile")
		if err := os.WriteFile(file, []byte(i.dockerfile), 0o644); err != nil {
			return err
		}
		if _, err := s.engines[0].docker("build", "-q", "-t", i.name, context); err != nil {
			return err
		}
		all = append(all, i.name)
	}
	archive := filepath.Join(folder, "images.tar")
	if _, err := s.engines[0].docker(append([]string{"save", "-o", archive}, all...)...); err != nil {
		return err
	}
	for _, e := range s.engines[1:] {
		if _, err := e.docker("load", "-q", "-i", archive); err != nil {
			return err
		}
	}
	return os.Remove(archive)
}

// service creates a service on the network that all share, reached by the addresses of its
// tasks; it is removed when the test ends.
func (s *cluster) service(t *testing.T, name string, args ...string) {
	t.Helper()
	s.engines[0].must(t, append([]string{"service", "create", "-d", "-q", "--name", name, "--network", "shared",
		"--endpoint-mode", "dnsrr", "--restart-delay", "100ms", "--update-monitor", "100ms"}, args...)...)
	t.Cleanup(func() {
		if t.Failed() && s.explained != t.Name() {
			s.explained = t.Name()
			s.explain(t)
		}
		s.remove(t, name)
	})
}

// remove removes a service, and kills its containers, which would take longer to stop.
func (s *cluster) remove(t *testing.T, name string) {
	t.Helper()
	if _, err := s.manager().docker("service", "rm", name); err != nil && !strings.Contains(err.Error(), "not found") {
		t.Error(err)
	}
	filter := url.QueryEscape(`{"label":["com.docker.swarm.service.name=` + name + `"]}`)
	eventually(t, "the end of the containers of "+name, func() bool {
		none := true
		for _, e := range s.engines {
			var all []struct{ ID string }
			if e.first == nil {
				continue
			}
			if err := e.get("/containers/json?filters="+filter, &all); err != nil || len(all) > 0 {
				none = false
			}
			for _, c := range all {
				if response, err := e.api.Post("http://engine/containers/"+c.ID+"/kill", "", nil); err == nil {
					_ = response.Body.Close() // it may have ended
				}
			}
		}
		return none
	})
}

// manager returns an engine that runs.
func (s *cluster) manager() *engine {
	for _, e := range s.engines {
		if e.first != nil {
			return e
		}
	}
	return s.engines[0]
}

// config makes a config of a file; it is removed when the test ends, after the services that
// use it.
func (s *cluster) config(t *testing.T, name, content string) {
	t.Helper()
	file := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(file, []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
	s.engines[0].must(t, "config", "create", name, file)
	t.Cleanup(func() {
		if _, err := s.manager().docker("config", "rm", name); err != nil {
			t.Error(err)
		}
	})
}

// gateway creates a service of watchdogd with this file, whose ports 8080 and 8081 are those
// of the nodes that it runs on, and which reaches the engine there.
func (s *cluster) gateway(t *testing.T, name, file string, args ...string) {
	t.Helper()
	s.config(t, name+"-file", file)
	s.service(t, name, append(append([]string{"--config", "source=" + name + "-file,target=/watchdog.yaml", "--stop-grace-period", "30s",
		"--mount", "type=bind,source=/var/run/docker.sock,target=/var/run/docker.sock",
		"--publish", "mode=host,published=8080,target=8080", "--publish", "mode=host,published=8081,target=8081"}, args...), gatewayImage, "-c", "/watchdog.yaml")...)
}

// task is a task of a service.
type task struct {
	ID     string
	NodeID string
	Slot   int
	Spec   struct{ ContainerSpec struct{ Image string } }
	Status struct {
		State           string
		Err             string
		ContainerStatus struct{ ContainerID string }
	}
	DesiredState string
}

// tasks returns the tasks of a service.
func (s *cluster) tasks(name string) (all []task, err error) {
	return all, s.manager().get("/tasks?filters="+url.QueryEscape(`{"service":["`+name+`"]}`), &all)
}

// running waits until n tasks of a service run, of the image if one is given, and no others.
func (s *cluster) running(t *testing.T, name string, n int, image string) (found []task) {
	t.Helper()
	eventually(t, fmt.Sprintf("%d running tasks of %s %s", n, name, image), func() bool {
		all, err := s.tasks(name)
		if err != nil {
			return false
		}
		found = nil
		for _, one := range all {
			if one.Status.State == "running" {
				if one.DesiredState != "running" || image != "" && !strings.HasPrefix(one.Spec.ContainerSpec.Image, image) {
					return false
				}
				found = append(found, one)
			}
		}
		return len(found) == n
	})
	return found
}

// explain logs what the Swarm does, for a test that failed.
func (s *cluster) explain(t *testing.T) {
	e := s.manager()
	for _, args := range [][]string{{"node", "ls"}, {"service", "ls"}} {
		out, err := e.docker(args...)
		t.Logf("docker %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	names, _ := e.docker("service", "ls", "--format", "{{.Name}}") // none is logged then
	for _, name := range strings.Fields(names) {
		out, err := e.docker("service", "ps", "--no-trunc", "--format", "{{.Name}} {{.Image}} {{.Node}} {{.DesiredState}} {{.CurrentState}} {{.Error}}", name)
		t.Logf("docker service ps %s: %v\n%s", name, err, out)
	}
	for _, e := range s.engines {
		if e.first == nil {
			continue
		}
		all, _ := e.docker("ps", "-a", "--format", "{{.ID}} {{.Image}}") // none is logged then
		for line := range strings.Lines(all) {
			if id, image, _ := strings.Cut(strings.TrimSpace(line), " "); image == gatewayImage {
				out, err := e.command("docker", "logs", id).CombinedOutput()
				t.Logf("the log of a gateway on %s: %v\n%s", e.name, err, unusual(out))
			}
		}
	}
}

// unusual returns the last lines of a log that are not of calls that went well.
func unusual(log []byte) string {
	var lines []string
	for line := range strings.Lines(string(log)) {
		if !strings.Contains(line, `"status":200`) {
			lines = append(lines, line)
		}
	}
	return strings.Join(lines[max(0, len(lines)-40):], "")
}

// eventually waits until ok returns true.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	begin := time.Now()
	for ; !ok(); pause() {
		if time.Since(begin) > patience {
			t.Fatalf("got nothing within %v, want %s", patience, what)
		}
	}
	if took := time.Since(begin); took > 500*time.Millisecond {
		t.Logf("%.1f s until %s", took.Seconds(), what)
	}
}

// url returns the address of a path at the gateway on an engine.
func (e *engine) url(path string) string { return "http://" + e.ip + ":8080" + path }

// serves waits until the gateway on an engine has answers of n tasks for a path.
func (s *cluster) serves(t *testing.T, e *engine, path string, n int) {
	t.Helper()
	client, seen := newClient(), map[string]bool{}
	eventually(t, fmt.Sprintf("answers of %d tasks for %s from the gateway on %s", n, path, e.name), func() bool {
		if r := call(client, http.MethodGet, e.url(path), ""); r.problem == "" {
			seen[r.task] = true
		}
		return len(seen) >= n
	})
}

// quick is the client of what is asked again and again.
var quick = &http.Client{Timeout: patience / 10}

// metric returns the sum of the series of a metric of the gateway on an engine, or -1. The name
// may be followed by the beginning of the labels.
func (s *cluster) metric(e *engine, name string) float64 {
	response, err := quick.Get("http://" + e.ip + ":8081/metrics")
	if err != nil {
		return -1
	}
	defer response.Body.Close()
	var sum float64
	lines := bufio.NewScanner(response.Body)
	for lines.Scan() {
		rest, ok := strings.CutPrefix(lines.Text(), name)
		if !ok || !strings.ContainsAny(rest[:1]+name, "{ ") {
			continue
		}
		v, err := strconv.ParseFloat(rest[strings.LastIndex(rest, " ")+1:], 64)
		if err != nil {
			return -1
		}
		sum += v
	}
	return sum
}
