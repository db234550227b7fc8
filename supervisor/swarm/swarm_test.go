package swarm

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/watchdogd/watchdogd/internal/failure"
	"github.com/watchdogd/watchdogd/internal/testkit"
	"github.com/watchdogd/watchdogd/schema"
	"github.com/watchdogd/watchdogd/supervisor/lifecycle"
	"github.com/watchdogd/watchdogd/supervisor/swarm/enginetest"
)

// reaches waits until the tasks of a function are at these addresses.
func reaches(t *testing.T, s *followed, name string, want ...string) {
	t.Helper()
	testkit.Eventually(t, fmt.Sprintf("function %s at %v", name, want), func() bool {
		return fmt.Sprint(addresses(s.Swarm, name)) == fmt.Sprint(want)
	})
}

// stands waits until a function is in a state for a reason that holds some words.
func stands(t *testing.T, s *followed, service string, state lifecycle.State, words string) {
	t.Helper()
	var got Status
	testkit.Eventually(t, fmt.Sprintf("service %s %s with %q", service, state, words), func() bool {
		for _, one := range s.Statuses() {
			if one.Service == service {
				if one != got {
					t.Logf("service %s is %s: %s", service, one.State, one.Reason)
				}
				got = one
				return one.State == state && strings.Contains(one.Reason, words)
			}
		}
		return false
	})
}

func TestServicesWithTheLabelAreFunctionsAtTheirTasks(t *testing.T) {
	e := newEngine(t)
	port := testkit.FreePort(t)
	listen(t, "127.0.0.1", port)
	at := fmt.Sprintf("127.0.0.1:%d", port)
	e.PutService(service("s1", "echo", 1, "watchdogd.port", strconv.Itoa(port)))
	e.PutTasks("s1", running("t1", "127.0.0.1"))
	e.PutService(&enginetest.Service{ID: "s2", Name: "postgres", Replicas: 1, Networks: []string{"net1"}})
	e.PutService(service("s3", "stack_resize", 1, label, "resize"))
	s := follow(t, e.Host())
	reaches(t, s, "echo", at)
	stands(t, s, "echo", lifecycle.Ready, "")
	if s.Function("postgres") != nil {
		t.Error("got a function of a service without the label, want none")
	}
	if s.Function("resize") == nil || s.Function("stack_resize") != nil {
		t.Error("got no function with the name of its label's value, want resize and not stack_resize")
	}

	e.PutService(service("s4", "late", 1, "watchdogd.port", strconv.Itoa(port)))
	e.PutTasks("s4", running("t4", "127.0.0.1"))
	reaches(t, s, "late", at)
	e.PutService(&enginetest.Service{ID: "s4", Name: "late", Replicas: 1, Networks: []string{"net1"}})
	testkit.Eventually(t, "no function when the label is taken away", func() bool { return s.Function("late") == nil && s.told("late") == 0 })
	e.RemoveService("s1")
	testkit.Eventually(t, "no function when the service is removed", func() bool { return s.Function("echo") == nil && s.told("echo") == 0 })
}

func TestATaskTakesCallsOnceItAcceptsConnections(t *testing.T) {
	e := newEngine(t)
	s := follow(t, e.Host())
	port := testkit.FreePort(t)
	e.PutService(service("s1", "slow", 1, "watchdogd.port", strconv.Itoa(port)))
	e.PutTasks("s1", running("t1", "127.0.0.1"))
	stands(t, s, "slow", lifecycle.Starting, "accepts no connection at port "+strconv.Itoa(port))
	listen(t, "127.0.0.1", port)
	reaches(t, s, "slow", fmt.Sprintf("127.0.0.1:%d", port))
}

func TestTheTasksOfAFunctionThatIsCalledAreFollowed(t *testing.T) {
	e := newEngine(t)
	port := testkit.FreePort(t)
	listen(t, "127.0.0.1", port)
	listen(t, "127.0.0.2", port)
	e.PutService(service("s1", "echo", 1, "watchdogd.port", strconv.Itoa(port)))
	e.PutTasks("s1", running("t1", "127.0.0.1"))
	s := follow(t, e.Host())
	reaches(t, s, "echo", fmt.Sprintf("127.0.0.1:%d", port))
	f := s.Function("echo")
	f.Enter()
	defer f.Leave()
	leaving := running("t1", "127.0.0.1")
	leaving.Desired = "shutdown"
	e.PutTasks("s1", leaving, running("t2", "127.0.0.2"))
	reaches(t, s, "echo", fmt.Sprintf("127.0.0.2:%d", port))
}

func TestTheOlderOfTwoServicesHasAName(t *testing.T) {
	e := newEngine(t)
	first, second := service("s1", "one", 0, label, "echo"), service("s2", "two", 0, label, "echo")
	first.Created, second.Created = time.Unix(1, 0), time.Unix(2, 0)
	e.PutService(second)
	s := follow(t, e.Host())
	stands(t, s, "two", lifecycle.Stopped, "0 replicas")
	e.PutService(first)
	stands(t, s, "two", lifecycle.Unready, "service one has the name echo already")
	if got := s.Function("echo").Service(); got != "one" {
		t.Errorf("got service %s for the name, want the older one", got)
	}
	e.RemoveService("s1")
	stands(t, s, "two", lifecycle.Stopped, "0 replicas")
}

func TestEachFaultOfAServiceIsAStateWithASentence(t *testing.T) {
	e := newEngine(t)
	at := time.Now()
	e.PutService(service("s1", "port", 1, "watchdogd.port", "http"))
	far := service("s2", "far", 1)
	far.Networks = []string{"net2"}
	e.PutService(far)
	none := service("s3", "none", 1)
	none.Networks = nil
	e.PutService(none)
	e.PutService(service("s4", "big", 1))
	e.PutTasks("s4", enginetest.Task{ID: "t4", State: "pending", Err: "no suitable node (insufficient resources on 3 nodes)", At: at})
	e.PutService(service("s5", "bad", 1))
	failed := enginetest.Task{State: "failed", Desired: "shutdown", Err: "task: non-zero exit (1)", At: at}
	e.PutTasks("s5", failed, failed, failed)
	e.PutService(service("s6", "off", 0))
	e.PutService(service("s9", "idle", 0, "watchdogd.max", "2", "watchdogd.idle", "soon"))
	e.PutService(service("s7", "min", 1, "watchdogd.min", "1"))
	port := testkit.FreePort(t)
	listen(t, "127.0.0.1", port)
	e.PutService(service("s8", "scaled", 1, "watchdogd.max", "ten", "watchdogd.port", strconv.Itoa(port)))
	e.PutTasks("s8", running("t8", "127.0.0.1"))
	s := follow(t, e.Host())
	stands(t, s, "port", lifecycle.Unready, `label watchdogd.port: must be a whole number from 1 to 65535`)
	stands(t, s, "far", lifecycle.Unready, "service far shares no network with watchdogd (it is on elsewhere)")
	stands(t, s, "none", lifecycle.Unready, "service none is on no overlay network")
	stands(t, s, "big", lifecycle.Waiting, "no suitable node")
	stands(t, s, "bad", lifecycle.CrashLoop, "its tasks keep failing: 3 have, the last one: task: non-zero exit (1)")
	stands(t, s, "off", lifecycle.Stopped, "docker service scale off=1")
	stands(t, s, "idle", lifecycle.Stopped, "is not scaled: label watchdogd.idle")
	stands(t, s, "min", lifecycle.Starting, "")
	stands(t, s, "scaled", lifecycle.Ready, `label watchdogd.max`)
}

func TestWhatIsKnownIsServedWhileTheEngineIsLost(t *testing.T) {
	e := newEngine(t)
	var lost atomic.Bool
	e.Refuse = func(*http.Request) (int, string) {
		if lost.Load() {
			return 503, "This node is not a swarm manager. Use \"docker swarm init\" or \"docker swarm join\" to connect this node to swarm and try again."
		}
		return 0, ""
	}
	port := testkit.FreePort(t)
	listen(t, "127.0.0.1", port)
	e.PutService(service("s1", "echo", 1, "watchdogd.port", strconv.Itoa(port)))
	e.PutTasks("s1", running("t1", "127.0.0.1"))
	s := follow(t, e.Host())
	reaches(t, s, "echo", fmt.Sprintf("127.0.0.1:%d", port))
	lost.Store(true)
	e.Cut()
	testkit.Eventually(t, "the problem of the engine", func() bool { return strings.Contains(s.Problem(), "not a manager of a swarm") })
	if err := s.Function("echo").Await(context.Background(), time.Second, 0); err != nil {
		t.Errorf("got %v for a call of a function that is known, want it served", err)
	}
	if err := s.Ready(); err != nil {
		t.Errorf("got %v, want ready with what is known", err)
	}
	e.PutService(service("s2", "meanwhile", 0))
	lost.Store(false)
	testkit.Eventually(t, "what was made meanwhile", func() bool { return s.Problem() == "" && s.Function("meanwhile") != nil })
}

func TestAnEngineThatHasNotAnsweredYetIsAProblem(t *testing.T) {
	s := New(Options{Engine: newClient(t, "tcp://127.0.0.1:1"), Label: label, ID: "gateway", Log: slog.New(slog.DiscardHandler)}) // nothing is asked yet
	const want = "the services of the swarm are not listed yet: the Docker Engine at tcp://127.0.0.1:1 has not answered"
	if got := s.Problem(); got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if err := s.Ready(); err == nil || err.Error() != want {
		t.Errorf("Ready: got %v, want %q", err, want)
	}
}

func TestCallsDoNotWaitForAnEngineThatDoesNotAnswer(t *testing.T) {
	e := newEngine(t)
	var frozen atomic.Bool
	release := make(chan struct{})
	defer close(release)
	e.Refuse = func(r *http.Request) (int, string) {
		if frozen.Load() {
			select {
			case <-release:
			case <-r.Context().Done():
			}
		}
		return 0, ""
	}
	port := testkit.FreePort(t)
	listen(t, "127.0.0.1", port)
	e.PutService(service("s1", "echo", 1, "watchdogd.port", strconv.Itoa(port)))
	e.PutTasks("s1", running("t1", "127.0.0.1"))
	s := follow(t, e.Host())
	reaches(t, s, "echo", fmt.Sprintf("127.0.0.1:%d", port))
	frozen.Store(true)
	f := s.Function("echo")
	for range 3 {
		f.checked.Store(-int64(time.Hour)) // as if its tasks were not looked at for long
		if err := f.Await(context.Background(), time.Minute, 0); err != nil {
			t.Errorf("got %v for a call of a function that is known, want it served", err)
		}
	}
	if got := s.Problem(); !strings.Contains(got, "does not answer") || !s.Lost() {
		t.Errorf("got %q, want that the engine does not answer", got)
	}
}

func TestACallOfAFunctionThatCannotAnswerIsRefusedWithTheReason(t *testing.T) {
	e := newEngine(t)
	e.PutService(service("s1", "big", 1))
	e.PutTasks("s1", enginetest.Task{ID: "t1", State: "pending", Err: "no suitable node", At: time.Now()})
	e.PutService(service("s2", "port", 1, "watchdogd.port", "none"))
	s := follow(t, e.Host())
	stands(t, s, "big", lifecycle.Waiting, "no suitable node")
	for _, one := range []struct {
		name string
		kind failure.Kind
		want string
	}{
		{"big", failure.NotReady, "no task of service big takes calls: no suitable node"},
		{"port", failure.NotReady, "label watchdogd.port"},
	} {
		err := s.Function(one.name).Await(context.Background(), 50*time.Millisecond, 0)
		var f *failure.Error
		if !errors.As(err, &f) || f.Kind != one.kind || !strings.Contains(f.Detail, one.want) {
			t.Errorf("%s: got %v, want kind %v with %q", one.name, err, one.kind, one.want)
		}
	}
}

func TestLabelsAreTheKeysOfARoute(t *testing.T) {
	template := schema.DefaultRoute()
	template.Limits.Body = 7
	e := newEngine(t)
	e.PutService(service("s1", "echo", 0, "watchdogd.timeout", "3s", "watchdogd.inflight", "4", "watchdogd.queue", "-1"))
	s := follow(t, e.Host())
	r, err := s.Function("echo").Route(&template)
	if err != nil {
		t.Fatal(err)
	}
	if r.Name != "echo" || r.Timeouts.Exec.D() != 3*time.Second || r.Limits.Inflight != 4 || r.Limits.Queue != 40 || r.Limits.Body != 7 {
		t.Errorf("got %+v, want the labels over the defaults", r)
	}
}
