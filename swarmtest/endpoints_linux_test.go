package swarmtest

import (
	"fmt"
	"net/http"
	"sync"
	"testing"
)

// byName is a gateway whose route reaches the tasks of the service echo by its name.
const byName = `server: {listen: ":8080", drain: {delay: 3s}}
metrics: {listen: ":8081"}
routes:
  - name: echo
    upstream: http://echo:8080
`

func TestThreeReplicasOnThreeNodesShareTheCalls(t *testing.T) {
	s := swarm(t)
	s.service(t, "echo", "--replicas", "3", "--replicas-max-per-node", "1", functionImage)
	s.gateway(t, "gateway", byName, "--constraint", "node.hostname==node1")
	s.running(t, "echo", 3, functionImage)
	s.running(t, "gateway", 1, "")
	s.serves(t, s.engines[0], "/echo", 3)

	const calls, clients = 3000, 10
	results := make([]result, calls)
	var sending sync.WaitGroup
	for c := range clients {
		sending.Go(func() {
			client := newClient()
			for n := c; n < calls; n += clients {
				results[n] = call(client, http.MethodPost, s.engines[0].url("/echo"), fmt.Sprint(n))
			}
		})
	}
	sending.Wait()
	noneLost(t, results)
	got := shares(results)
	t.Logf("3000 calls: %s", counts(got))
	if len(got) != 3 {
		t.Errorf("got %d tasks that answered, want 3", len(got))
	}
	for task, n := range got {
		if n < 900 || n > 1100 {
			t.Errorf("got %d calls for task %s, want 1000, or 10 %% more or less", n, task)
		}
	}
}
