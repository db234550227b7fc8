package supervisor

import (
	"context"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/watchdogd/watchdogd/internal/testkit"
	"github.com/watchdogd/watchdogd/schema"
)

// idler is a route whose program is ready when it is started.
func idler(t testing.TB, name string) Spec {
	s := server(t, name, "sleep")
	s.Process.Ready = schema.Probe{}
	return s
}

func TestAStopThatIsOvertakenByAStartSaysSoAndLeavesTheNewInstanceAlone(t *testing.T) {
	s := newStack(t, idler(t, "api"))
	c := s.call("api", "GET /", false)
	ctx, cancel := context.WithCancel(context.Background())
	stopped := make(chan error, 1)
	go func() { stopped <- s.Supervisor.Stop(ctx, "api") }()
	s.awaitState("api", Stopping)
	started := make(chan error, 1)
	go func() { started <- s.Start(context.Background(), "api") }()
	if err := <-stopped; err == nil || err.Error() != "stop api: it was started meanwhile" {
		t.Errorf("got %v from stop, want that it was started meanwhile", err)
	}
	cancel()
	if err := <-started; err != nil {
		t.Errorf("got %v from start, want nil", err)
	}
	c.i.Leave(&c.seat)
	c.i.Release()
	next := s.acquire("api")
	defer next.Release()
	select {
	case <-next.Done():
		t.Error("got an instance that is ended by a stop of before, want it to serve")
	default:
	}
}

// steps are what the admin API can do to a process, by name.
func (s *stack) steps(spec Spec) map[string]func(context.Context) error {
	reload := func(specs ...Spec) func(context.Context) error {
		return func(ctx context.Context) error {
			s.reloading.Lock() // as the daemon does one after another
			retire, err := s.Reconcile(specs)
			s.reloading.Unlock()
			if err == nil {
				retire(ctx)
			}
			return err
		}
	}
	changed, renamed := spec, spec
	changed.Process.Env = maps.Clone(spec.Process.Env)
	changed.Process.Env["MORE"] = "1"
	renamed.Name = "renamed"
	return map[string]func(context.Context) error{
		"start":   func(ctx context.Context) error { return s.Start(ctx, spec.Name) },
		"stop":    func(ctx context.Context) error { return s.Supervisor.Stop(ctx, spec.Name) },
		"restart": func(ctx context.Context) error { return s.Restart(ctx, spec.Name) },
		"scale 0": func(context.Context) error { return s.Scale(spec.Name, 0) },
		"scale 2": func(context.Context) error { return s.Scale(spec.Name, 2) },
		"remove":  reload(),
		"add":     reload(spec),
		"change":  reload(changed),
		"rename":  reload(renamed),
	}
}

func TestEveryPairOfStepsReturnsAndLeavesAProcessThatServes(t *testing.T) {
	spec := idler(t, "api")
	s := newStack(t, spec)
	steps := s.steps(spec)
	var names []string
	for name := range steps {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, first := range names {
		for _, second := range names {
			ctx, cancel := context.WithTimeout(context.Background(), bound)
			c := s.call("api", "GET /", true) // which is in the way of both
			done := make(chan error, 2)
			go func() { done <- steps[first](ctx) }()
			go func() { done <- steps[second](ctx) }()
			go func() { // over once it is asked for, or soon
				select {
				case <-c.ended:
				case <-time.After(5 * time.Millisecond):
				}
				c.i.Leave(&c.seat)
				c.i.Release()
			}()
			for range 2 {
				select {
				case <-done: // what it says depends on who was first
				case <-time.After(2 * bound):
					t.Fatalf("%s, %s: got no return, want both to", first, second)
				}
			}
			if ctx.Err() != nil {
				t.Errorf("%s, %s: got their end by the context's, want it before", first, second)
			}
			if err := steps["add"](ctx); err != nil {
				t.Fatalf("%s, %s, add: %v", first, second, err)
			}
			if err := s.Start(ctx, "api"); err != nil {
				t.Fatalf("%s, %s, add, start: %v", first, second, err)
			}
			i := s.acquire("api")
			select {
			case <-i.Done():
				t.Errorf("%s, %s: got an instance that is over, want one that serves", first, second)
			default:
			}
			i.Release()
			s.await("api", "one instance", allReady(1))
			cancel()
		}
	}
}

// model is what a process should be after a sequence of steps.
type model struct {
	present, stopped bool
	scaled           int // -1 is what the configuration says, which is 1
}

func (m *model) after(step string) (fails bool) {
	switch step {
	case "add", "change":
		if !m.present {
			*m = model{present: true}
		}
		m.scaled = -1
		return false
	case "remove", "rename":
		*m = model{scaled: -1}
		return false
	}
	if !m.present {
		return true
	}
	switch step {
	case "stop":
		m.stopped = true
	case "start":
		m.stopped = false
		if m.scaled == 0 {
			m.scaled = -1
		}
	case "restart":
		m.stopped = false
	case "scale 0":
		m.scaled = 0
	case "scale 2":
		m.scaled = 2
	}
	return false
}

// instances is how many there should be.
func (m *model) instances() int {
	switch {
	case m.stopped || !m.present:
		return 0
	case m.scaled >= 0:
		return m.scaled
	}
	return 1
}

func FuzzSteering(f *testing.F) {
	f.Add([]byte("\x00\x01\x02\x03\x04\x05\x06\x07\x08"))
	f.Add([]byte("\x07\x06\x07\x05\x03\x00\x04\x02\x08\x06"))
	f.Add([]byte("\x08\x07\x00\x06\x08\x01\x05\x05\x03"))
	f.Fuzz(func(t *testing.T, program []byte) {
		spec := idler(t, "api")
		s := newStack(t, spec)
		steps := s.steps(spec)
		var names, done []string
		for name := range steps {
			names = append(names, name)
		}
		slices.Sort(names)
		ctx, cancel := context.WithTimeout(context.Background(), bound)
		defer cancel()
		m := model{present: true, scaled: -1}
		for _, b := range program[:min(len(program), 12)] {
			step := names[int(b)%len(names)]
			done = append(done, step)
			fails, err := m.after(step), steps[step](ctx)
			if (err != nil) != fails {
				t.Fatalf("%v: got error %v, want one: %t", done, err, fails)
			}
			if !m.present {
				if s.Process("api") != nil {
					t.Fatalf("%v: got a process, want none", done)
				}
				continue
			}
			want := m.instances()
			s.await("api", fmt.Sprintf("%d instances after %v", want, done), func(st Status) bool {
				if len(st.Instances) != want {
					return false
				}
				for n, i := range st.Instances {
					if i.Number != n || i.State != Ready {
						return false
					}
				}
				return true
			})
		}
	})
}

func TestAPortMadeOfTheNumberIsTheInstancesOwn(t *testing.T) {
	base := testkit.FreePair(t) / 10
	spec := server(t, "api", "serve")
	spec.Upstream = upstream(t, "http://127.0.0.1:"+strconv.Itoa(base)+"${INSTANCE}")
	spec.Process.Replicas = schema.Replicas{Min: 2, Max: 2}
	s := newStack(t, spec)
	for range 2 {
		st := s.await("api", "two instances", allReady(2))
		for n, i := range st.Instances {
			if want := base*10 + n; i.Number != n || i.Port != want {
				t.Errorf("got instance %d on port %d, want %d on %d", i.Number, i.Port, n, want)
			}
		}
		if err := s.Restart(context.Background(), "api"); err != nil {
			t.Fatal(err)
		}
	}
}

func TestASuccessorHasTheNumberOfItsPredecessor(t *testing.T) {
	spec := idler(t, "api")
	spec.Process.Replicas = schema.Replicas{Min: 3, Max: 3}
	s := newStack(t, spec)
	for range 2 {
		s.await("api", "three instances", allReady(3))
		if err := s.Restart(context.Background(), "api"); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Scale("api", 2); err != nil {
		t.Fatal(err)
	}
	st := s.await("api", "two instances", allReady(2))
	for n, i := range st.Instances {
		if i.Number != n {
			t.Errorf("got number %d, want %d", i.Number, n)
		}
	}
}

func TestRestartReadsEnvFileAgain(t *testing.T) {
	file := filepath.Join(t.TempDir(), "env")
	write := func(text string) {
		if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	write("INSTANCE_COLOUR=red\n")
	spec := service(t, "job", "env INSTANCE_COLOUR")
	spec.Process.Restart.Policy = "never"
	spec.Process.EnvFile = []string{file}
	s := newStack(t, spec)
	s.awaitState("job", Exited)
	write("INSTANCE_COLOUR=blue\n")
	_ = s.Restart(context.Background(), "job") // it ends with 0
	s.log.Await(t, "INSTANCE_COLOUR=blue")
	if err := os.Remove(file); err != nil {
		t.Fatal(err)
	}
	if err := s.Restart(context.Background(), "job"); err == nil || !strings.Contains(err.Error(), file) {
		t.Errorf("got %v, want an error that names %s", err, file)
	}
}

func TestADependencyThatCannotBecomeReadyIsReportedAtOnce(t *testing.T) {
	failed := service(t, "migrate", "exit 3")
	failed.Process.Restart.Policy = "never"
	between := service(t, "cache", "sleep")
	between.Process.DependsOn = schema.Dependencies{"migrate": "completed"}
	api := idler(t, "api")
	api.Process.DependsOn = schema.Dependencies{"cache": "ready"}
	s := newStack(t, failed, between, api)
	_, err := s.Process("api").Acquire(context.Background(), bound)
	if err == nil || !strings.Contains(err.Error(), "cache to be ready") {
		t.Errorf("got %v, want one that names what it waits for", err)
	}
	err = s.Await(context.Background(), schema.Dependencies{"migrate": "completed"})
	if err == nil || !strings.Contains(err.Error(), "exit status 3") {
		t.Errorf("got %v, want one that says how migrate ended", err)
	}
	err = s.Restart(context.Background(), "api")
	if err == nil || !strings.Contains(err.Error(), "it waits for cache to be ready") {
		t.Errorf("got %v, want one that names what it waits for", err)
	}
}

func TestARestartWaitsForAllInstances(t *testing.T) {
	dir := t.TempDir()
	spec := service(t, "shards", "sleep")
	spec.Process.Replicas = schema.Replicas{Min: 3, Max: 3}
	spec.Process.Ready = schema.Probe{Exec: schema.Command{Line: schema.Text("test -e " + dir + "/${INSTANCE}")}}
	let := func(n int) {
		if err := os.WriteFile(filepath.Join(dir, strconv.Itoa(n)), nil, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	for n := range 3 {
		let(n)
	}
	s := newStack(t, spec)
	s.await("shards", "three instances", allReady(3))
	for n := range 3 {
		if err := os.Remove(filepath.Join(dir, strconv.Itoa(n))); err != nil {
			t.Fatal(err)
		}
	}
	restarted := make(chan error, 1)
	go func() { restarted <- s.Restart(context.Background(), "shards") }()
	starting := func(want int) func(Status) bool {
		return func(st Status) bool {
			got := 0
			for _, i := range st.Instances {
				if i.State == Starting {
					got++
				}
			}
			return len(st.Instances) == 3 && got == want
		}
	}
	s.await("shards", "three that start", starting(3))
	let(0)
	s.await("shards", "one that is ready", starting(2))
	p := s.Process("shards")
	p.mu.Lock()
	settled, err := p.isSettled(p.last, nil)
	p.mu.Unlock()
	if settled || err != nil {
		t.Errorf("got settled %v, %v while two instances start, want false", settled, err)
	}
	let(1)
	let(2)
	if err := <-restarted; err != nil {
		t.Errorf("got %v, want no error", err)
	}
	if st := p.Status(); !allReady(3)(st) {
		t.Errorf("got %+v after the restart, want three instances that are ready", st)
	}
}
