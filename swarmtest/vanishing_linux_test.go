package swarmtest

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"
)

func TestAnEngineThatIsKilledTakesOnlyTheCallsInItsHandsAlong(t *testing.T) {
	s := swarm(t)
	gone := s.engines[2]
	attempts(t, func(t *testing.T) []string {
		return s.withoutEngine(t, gone, func() { gone.kill(t) }, func() { gone.again(t) })
	})
}

func TestAnEngineThatIsCutOffTakesOnlyTheCallsInItsHandsAlong(t *testing.T) {
	s := swarm(t)
	gone := s.engines[2]
	attempts(t, func(t *testing.T) []string {
		return s.withoutEngine(t, gone, func() { gone.cut(t) }, func() { gone.connect(t) })
	})
}

// withoutEngine loses an engine under load, has it again, and checks what became of the calls.
// It returns what was late.
func (s *cluster) withoutEngine(t *testing.T, gone *engine, lose, again func()) (late []string) {
	s.echo(t, "--replicas", "3", "--replicas-max-per-node", "1", functionImage)
	s.gateway(t, "gateway", bothWays, "--constraint", "node.hostname==node1")
	var itsTask string
	for _, one := range s.running(t, "echo", 3, functionImage) {
		if s.nodes[one.NodeID] == gone {
			itsTask = one.Status.ContainerStatus.ContainerID[:12]
		}
	}
	s.running(t, "gateway", 1, "")
	gateway := s.engines[0]
	var urls []string
	for _, way := range ways {
		s.serves(t, gateway, way, 3)
		urls = append(urls, gateway.url(way))
	}

	l := start(t, 100, urls...)
	l.more(t, 100)
	const each, wait = 6, 10 * time.Second // long after the engine is lost
	slow := make(chan result, 2*2*each)
	for i, method := range []string{http.MethodGet, http.MethodPost} { // one third each, of each method
		for range each {
			for _, url := range urls {
				go func() { slow <- call(newClient(), method, url+"?wait="+wait.String(), "slow") }()
			}
		}
		eventually(t, "the slow calls in flight", func() bool {
			return s.metric(gateway, `http_requests_in_flight{route="echo"`) >= float64(i+1)*each && s.metric(gateway, `http_requests_in_flight{route="fn"`) >= float64(i+1)*each
		})
	}
	l.more(t, 100)

	watch := watchStalls(t)
	begin := time.Now()
	lose()
	eventually(t, "the endpoint to be out", func() bool { return s.metric(gateway, "watchdogd_endpoint_up") == 2 })
	out := time.Since(begin)
	bound := 2*time.Second + watch.longest()
	if out > bound {
		late = append(late, fmt.Sprintf("the endpoint was out after %v, want at most %v", out, bound))
	}

	ended := map[string]int{}
	for range cap(slow) {
		r := <-slow
		switch {
		case r.problem == "" && r.task == itsTask:
			t.Errorf("got an answer of task %s, want none from an engine that is gone", itsTask)
		case r.problem != "" && r.method == http.MethodGet:
			t.Errorf("got a GET lost after %v, want it repeated elsewhere: %s", r.end.Sub(begin), r.problem)
		case r.problem != "":
			ended["POST failed"]++
		case r.arrived.After(begin):
			ended[r.method+" repeated"]++
		default:
			ended[r.method+" answered"]++
		}
	}
	took := time.Since(begin)
	if ended["POST repeated"] > 0 {
		t.Errorf("got a POST answered by a second engine, want it failed: %s", counts(ended))
	}
	if ended["POST failed"] == 0 || ended["GET repeated"] == 0 {
		t.Errorf("got %s, want calls of both methods in the hands of the engine", counts(ended))
	}

	again()
	returned := time.Now()
	s.running(t, "echo", 3, functionImage)
	for _, way := range ways {
		s.serves(t, gateway, way, 3)
	}
	back := time.Since(returned)
	l.more(t, 100)
	results := l.end()
	for _, r := range results {
		if r.problem != "" && (r.method != http.MethodPost || r.begin.After(begin.Add(max(bound, out))) || r.end.Before(begin)) {
			t.Errorf("got a call lost that was not in the hands of the engine: %s", strings.Join(problems([]result{r}), ""))
		}
	}
	t.Logf("the endpoint was out after %.1f s, and back %.1f s after the engine; of %d slow calls: %s, the last after %.1f s; of %d others %d POST were lost in its hands, the longest took %v",
		out.Seconds(), back.Seconds(), cap(slow), counts(ended), took.Seconds(), len(results), len(problems(results)), longest(results))
	return late
}
