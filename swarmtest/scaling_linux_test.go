package swarmtest

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"sync"
	"testing"
	"time"
)

func TestAFunctionScalesFromZeroWithItsCallsAndBack(t *testing.T) {
	s := swarm(t)
	attempts(t, s.scalesFromZero)
}

// scalesFromZero returns what was late.
func (s *cluster) scalesFromZero(t *testing.T) (late []string) {
	s.functions(t, 1, "node.hostname==node1")
	const (
		most, target = 4, 5
		calls, wait  = 20, 2 * time.Second // a burst
		perSecond    = 10                  // and calls that keep the replicas
	)
	url := s.engines[0].url("/function/burst?wait=" + wait.String())

	// how long the replicas take to start by themselves on this machine now
	begin := time.Now()
	s.service(t, "burst", "--replicas", fmt.Sprint(most), "--label", "watchdogd.function=true", "--env", "START=500ms", functionImage)
	s.serves(t, s.engines[0], "/function/burst", 1)
	own := time.Since(begin)
	s.running(t, "burst", most, "")
	ownAll := time.Since(begin)

	s.engines[0].must(t, "service", "update", "-d", "-q", "--replicas", "0", "--label-add", "watchdogd.min=0", "--label-add", fmt.Sprint("watchdogd.max=", most),
		"--label-add", fmt.Sprint("watchdogd.target=", target), "--label-add", "watchdogd.idle=1s", "burst")
	s.running(t, "burst", 0, "")
	eventually(t, "the gateway to scale", func() bool { return s.metric(s.engines[0], "watchdogd_swarm_scaler") == 1 })

	watch := watchStalls(t)
	begin = time.Now()
	results := make([]result, calls)
	var sending sync.WaitGroup
	for n := range results {
		sending.Go(func() {
			results[n] = call(newClient(), []string{http.MethodGet, http.MethodPost}[n%2], url, fmt.Sprint(n))
		})
	}
	steady := start(t, perSecond, url)
	s.running(t, "burst", most, "")
	grown := time.Since(begin)
	sending.Wait()
	first := slices.MinFunc(results, func(a, b result) int { return a.end.Compare(b.end) })
	held := first.end.Sub(begin) - wait
	eventually(t, "answers of all replicas", func() bool { return len(steady.shares()) == most })
	results = append(results, steady.end()...)
	noneLost(t, results)
	begin = time.Now()
	s.running(t, "burst", 0, "")
	t.Logf("one replica starts in %.1f s, %d in %.1f s; the first of %d calls was held for %.1f s, %d replicas ran after %.1f s, none %.1f s after the last call; shares %s",
		own.Seconds(), most, ownAll.Seconds(), len(results), held.Seconds(), most, grown.Seconds(), time.Since(begin).Seconds(), counts(shares(results)))
	if bound := own + 2*time.Second + watch.longest(); held > bound {
		late = append(late, fmt.Sprintf("the first call was held for %v, want at most %v", held, bound))
	}
	if bound := ownAll + 2*time.Second + watch.longest(); grown > bound {
		late = append(late, fmt.Sprintf("%d replicas ran after %v, want at most %v", most, grown, bound))
	}
	return late
}

func TestOfTwoGatewaysOneScalesAndTheOtherTakesOver(t *testing.T) {
	s := swarm(t)
	two := s.engines[:2]
	s.functions(t, len(two), "node.hostname!=node3", "--restart-condition", "none")
	s.service(t, "burst", "--replicas", "0", "--label", "watchdogd.function=true", "--label", "watchdogd.min=0", "--label", "watchdogd.max=2",
		"--label", "watchdogd.target=6", "--label", "watchdogd.idle=1s", functionImage)
	scalers := func(all []*engine) (found []*engine) {
		for _, e := range all {
			if s.metric(e, "watchdogd_swarm_scaler") == 1 {
				found = append(found, e)
			}
		}
		return found
	}
	// one waits until exactly one of the gateways scales.
	one := func() (found *engine) {
		eventually(t, "one gateway to scale", func() bool {
			all := scalers(two)
			if len(all) == 1 {
				found = all[0]
			}
			return len(all) == 1
		})
		return found
	}

	for _, e := range two {
		eventually(t, "the function at the gateway on "+e.name, func() bool { return s.metric(e, "watchdogd_swarm_functions") == 1 })
	}
	var dies, stays *engine
	var sent float64
	for n := 1; ; n++ {
		dies, stays = one(), two[0]
		if dies == stays {
			stays = two[1]
		}
		before, othersBefore := s.updates(t, dies), s.updates(t, stays)
		s.burst(t, two)
		if one() == dies {
			sent = s.updates(t, dies) - before
			others := s.updates(t, stays) - othersBefore
			if others > 1 || sent < 2 { // the other one may have waited for the first task for so long that it started it
				t.Errorf("got %v updates of replicas by the gateway that scales and %v by the other, want some and 1 at most", sent, others)
			}
			break
		}
		if n == 3 { // the engines were so slow that the lease expired
			t.Fatal("got another gateway that scales after each of three bursts, want the same")
		}
	}

	for _, one := range s.running(t, "gateway", 2, "") {
		if s.nodes[one.NodeID] == dies {
			dies.must(t, "kill", one.Status.ContainerStatus.ContainerID)
		}
	}
	begin := time.Now()
	eventually(t, "the other gateway to scale", func() bool { return len(scalers([]*engine{stays})) == 1 })
	took := time.Since(begin)
	s.burst(t, []*engine{stays})
	t.Logf("%s scaled by %v updates; %s took over %.1f s after its end, and has sent %v", dies.name, sent, stays.name, took.Seconds(), s.updates(t, stays))
}

// updates returns how many updates of replicas the gateway on an engine has sent.
func (s *cluster) updates(t *testing.T, e *engine) (n float64) {
	t.Helper()
	eventually(t, "the metrics of the gateway on "+e.name, func() bool {
		n = s.metric(e, "watchdogd_swarm_updates_total")
		return n >= 0
	})
	return n
}

// burst calls the function burst by each of these gateways until it has its most replicas, and
// waits until it has none.
func (s *cluster) burst(t *testing.T, by []*engine) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var calls sync.WaitGroup
	results := make([][]result, 12)
	for n := range results {
		calls.Go(func() {
			for client := newClient(); ctx.Err() == nil; {
				results[n] = append(results[n], call(client, http.MethodPost, by[n%len(by)].url("/function/burst?wait=2s"), fmt.Sprint(n)))
			}
		})
	}
	s.running(t, "burst", 2, "")
	cancel()
	calls.Wait()
	noneLost(t, slices.Concat(results...))
	s.running(t, "burst", 0, "")
}
