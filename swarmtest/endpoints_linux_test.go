package swarmtest

import (
	"bytes"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"sync"
	"syscall"
	"testing"
	"time"
)

// bothWays is a gateway that reaches the tasks of the service echo in two ways: by its name, as the
// route echo, and as the function fn that the engine lists.
const bothWays = `server: {listen: ":8080", drain: {delay: 2s}}
metrics: {listen: ":8081"}
gateway:
  swarm: {}
routes:
  - name: echo
    upstream: http://echo:8080
`

// ways are the paths by which it does.
var ways = []string{"/echo", "/function/fn"}

// echo creates the service that the gateway reaches in both ways.
func (s *cluster) echo(t *testing.T, args ...string) {
	t.Helper()
	s.service(t, "echo", append([]string{"--label", "watchdogd.function=fn"}, args...)...)
}

func TestThreeReplicasOnThreeNodesShareTheCalls(t *testing.T) {
	s := swarm(t)
	s.echo(t, "--replicas", "3", "--replicas-max-per-node", "1", functionImage)
	s.gateway(t, "gateway", bothWays, "--constraint", "node.hostname==node1")
	s.running(t, "echo", 3, functionImage)
	s.running(t, "gateway", 1, "")
	for _, way := range ways {
		s.serves(t, s.engines[0], way, 3)
		const calls, atOnce = 3000, 30
		results := make([]result, calls)
		client := newClient()
		for round := range slices.Chunk(results, atOnce) { // a faster node is not free sooner
			var sending sync.WaitGroup
			for n := range round {
				sending.Go(func() { round[n] = call(client, http.MethodPost, s.engines[0].url(way+"?wait=30ms"), fmt.Sprint(n)) })
			}
			sending.Wait()
		}
		noneLost(t, results)
		got := shares(results)
		t.Logf("%d calls of %s: %s", calls, way, counts(got))
		if len(got) != 3 {
			t.Errorf("%s: got answers of %d tasks, want 3", way, len(got))
		}
		for task, n := range got {
			if n < 900 || n > 1100 {
				t.Errorf("%s: got %d calls for task %s, want 1000, or 10 %% more or less", way, n, task)
			}
		}
	}
}

func TestAnUpdateToANewImageLosesNoCall(t *testing.T) {
	for _, test := range []struct{ name, first, second string }{
		{"a server of its own", functionImage, secondImage},
		{"behind watchdogd in its image", behindImage, behindSecond},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := swarm(t)
			s.echo(t, "--replicas", "3", test.first)
			s.gateway(t, "gateway", bothWays, "--constraint", "node.hostname==node1")
			s.running(t, "echo", 3, test.first)
			s.running(t, "gateway", 1, "")
			var urls []string
			for _, way := range ways {
				s.serves(t, s.engines[0], way, 3)
				urls = append(urls, s.engines[0].url(way))
			}

			l := start(t, 100, urls...)
			l.more(t, 100)
			begin := time.Now()
			s.engines[0].must(t, "service", "update", "-d", "-q", "--update-order", "start-first", "--image", test.second, "echo")
			s.running(t, "echo", 3, test.second)
			took := time.Since(begin)
			for _, url := range urls {
				onlyVersion(t, url, "2")
			}
			l.more(t, 100)
			results := l.end()
			noneLost(t, results)
			versions := map[string]int{}
			for _, r := range results {
				versions[r.version]++
			}
			t.Logf("%d calls in an update of %.1f s: versions %s, the longest took %v", len(results), took.Seconds(), counts(versions), longest(results))
			if versions["1"] == 0 || versions["2"] == 0 {
				t.Errorf("got answers of the versions %s, want both", counts(versions))
			}
		})
	}
}

// onlyVersion waits until the next 10 answers are of a version.
func onlyVersion(t *testing.T, url, version string) {
	t.Helper()
	client, consecutive := newClient(), 0
	eventually(t, "10 consecutive answers of version "+version, func() bool {
		r := call(client, http.MethodGet, url, "")
		if consecutive++; r.problem != "" || r.version != version {
			consecutive = 0
		}
		return consecutive == 10
	})
}

// behindAList is a watchdogd in front of three gateways.
const behindAList = `server: {listen: "127.0.0.1:8079"}
admin: {listen: "unix:%s/front.sock"}
routes:
  - name: front
    path: /
    upstream: [10.99.0.1:8080, 10.99.0.2:8080, 10.99.0.3:8080]
    ready: {http: /_/ready, interval: 500ms}
`

func TestAGatewayThatIsRestartedOrReplacedLosesNoCall(t *testing.T) {
	s := swarm(t)
	s.echo(t, "--replicas", "2", functionImage)
	s.gateway(t, "gateway", bothWays, "--mode", "global")
	s.running(t, "echo", 2, functionImage)
	first := s.running(t, "gateway", 3, "")
	front := s.front(t, behindAList)
	var urls []string
	for _, way := range ways {
		for _, e := range s.engines {
			s.serves(t, e, way, 2)
		}
		urls = append(urls, front+way)
	}

	l := start(t, 100, urls...)
	l.more(t, 100)
	begin := time.Now()
	for _, one := range first[:1] {
		s.nodes[one.NodeID].must(t, "restart", one.Status.ContainerStatus.ContainerID)
	}
	s.running(t, "gateway", 3, "")
	restarted := time.Since(begin)
	l.more(t, 50)

	begin = time.Now()
	s.engines[0].must(t, "service", "update", "-d", "-q", "--force", "--update-parallelism", "1", "--env-add", "ROLLED=over", "gateway")
	eventually(t, "every gateway replaced", func() bool {
		all, err := s.tasks("gateway")
		fresh := 0
		for _, one := range all {
			if one.Status.State == "running" && !slices.ContainsFunc(first, func(f task) bool { return f.ID == one.ID }) {
				fresh++
			}
		}
		return err == nil && fresh == 3
	})
	rolled := time.Since(begin)
	l.more(t, 100)
	results := l.end()
	noneLost(t, results)
	t.Logf("%d calls; a gateway restarted in %.1f s, three rolled over in %.1f s; the longest call took %v", len(results), restarted.Seconds(), rolled.Seconds(), longest(results))
}

// front starts a watchdogd with this file in the world, until the test ends, and returns its
// URL when it is ready.
func (s *cluster) front(t *testing.T, file string) string {
	t.Helper()
	dir := t.TempDir()
	path := filepath.Join(dir, "watchdog.yaml")
	if err := os.WriteFile(path, fmt.Appendf(nil, file, dir), 0o644); err != nil {
		t.Fatal(err)
	}
	var log bytes.Buffer
	cmd := exec.Command(filepath.Join(images(), "watchdogd"), "-c", path)
	cmd.Stdout, cmd.Stderr = &log, &log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM) // unless it has ended
		if err := cmd.Wait(); err != nil || t.Failed() {
			t.Logf("the front ended: %v\n%s", err, log.String())
		}
	})
	const url = "http://127.0.0.1:8079"
	eventually(t, "the front to be ready", func() bool {
		response, err := quick.Get(url + "/_/ready")
		if err != nil {
			return false
		}
		_ = response.Body.Close()
		return response.StatusCode == http.StatusOK
	})
	return url
}
