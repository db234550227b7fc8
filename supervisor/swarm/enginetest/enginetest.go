// Package enginetest is the API of a Docker Engine that manages a swarm, as far as a gateway
// uses it, for tests and simulations: what the swarm holds is what the test puts in.
//
//	e := enginetest.New()
//	defer e.Close()
//	e.PutNetwork(enginetest.Network{ID: "net1", Name: "functions", Subnet: "127.0.0.0/8"})
//	e.PutService(&enginetest.Service{ID: "s1", Name: "echo", Labels: ..., Replicas: 1, Networks: []string{"net1"}})
//	e.PutTasks("s1", enginetest.Task{ID: "t1", State: "running", Address: "127.0.0.1/8", Network: "net1"})
//
// It has no orchestrator: Scaled is told of a new number of replicas, and may put tasks.
// Versions are checked as the engine checks them.
package enginetest

import (
	"encoding/json"
	"fmt"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// Engine is one engine, and the swarm that it manages.
type Engine struct {
	// Refuse returns a status and a message with which a request is refused; 0 is not. It is
	// set before the first request.
	Refuse func(r *http.Request) (status int, message string)
	// Scaled is told that a service was updated to a number of replicas. It is set before
	// the first request.
	Scaled func(id string, replicas int)

	server *httptest.Server
	asked  atomic.Int64 // requests
	sent   atomic.Int64 // bytes of lists

	mu       sync.Mutex
	index    uint64
	services map[string]*Service
	tasks    map[string][]Task // by service
	networks map[string]Network
	configs  map[string]*config
	streams  map[chan []byte]struct{}
	cut      chan struct{} // closed to end the streams
	updates  int
}

// Service is a service.
type Service struct {
	ID, Name string
	Labels   map[string]string
	Replicas int // of a replicated service; -1 is global
	Networks []string
	Update   string // state of an update; empty is none
	Created  time.Time

	version uint64
	more    map[string]json.RawMessage // of the spec, as it was updated
}

// Task is a task.
type Task struct {
	ID, State, Desired string // Desired is running where it is empty
	Err                string
	ExitCode           int
	Network, Address   string // as CIDR
	At                 time.Time
	Slot               int
}

// Network is a network.
type Network struct {
	ID, Name, Subnet string
	Ingress          bool
}

type config struct {
	ID      string
	Version struct{ Index uint64 }
	Spec    struct {
		Name   string
		Labels map[string]string
		Data   []byte
	}
}

// New starts an engine.
func New() *Engine { return on(nil) }

// On starts an engine on a listener, such as a socket.
func On(l net.Listener) *Engine { return on(l) }

func on(l net.Listener) *Engine {
	e := &Engine{
		services: map[string]*Service{}, tasks: map[string][]Task{}, networks: map[string]Network{}, configs: map[string]*config{},
		streams: map[chan []byte]struct{}{}, cut: make(chan struct{}), index: 10,
	}
	mux := http.NewServeMux()
	mux.HandleFunc("/_ping", func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("Api-Version", "1.50") })
	mux.HandleFunc("GET /{v}/services", e.listServices)
	mux.HandleFunc("GET /{v}/services/{id}", e.inspectService)
	mux.HandleFunc("POST /{v}/services/{id}/update", e.updateService)
	mux.HandleFunc("GET /{v}/tasks", e.listTasks)
	mux.HandleFunc("GET /{v}/networks", e.listNetworks)
	mux.HandleFunc("GET /{v}/events", e.stream)
	mux.HandleFunc("GET /{v}/configs", e.listConfigs)
	mux.HandleFunc("POST /{v}/configs/create", e.createConfig)
	mux.HandleFunc("POST /{v}/configs/{id}/update", e.updateConfig)
	mux.HandleFunc("DELETE /{v}/configs/{id}", e.removeConfig)
	e.server = httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		e.asked.Add(1)
		if e.Refuse != nil {
			if status, message := e.Refuse(r); status != 0 {
				refuse(w, status, message)
				return
			}
		}
		mux.ServeHTTP(w, r)
	}))
	if l != nil {
		_ = e.server.Listener.Close() // it is replaced
		e.server.Listener = l
	}
	e.server.Start()
	return e
}

// Host is where the engine is.
func (e *Engine) Host() string {
	a := e.server.Listener.Addr()
	return map[bool]string{true: "unix://", false: "tcp://"}[a.Network() == "unix"] + a.String()
}

// Close stops the engine.
func (e *Engine) Close() {
	e.Cut()
	e.server.CloseClientConnections()
	e.server.Close()
}

// Cut ends all streams of events.
func (e *Engine) Cut() {
	e.mu.Lock()
	defer e.mu.Unlock()
	close(e.cut)
	e.cut = make(chan struct{})
}

// Requests is how many requests were made.
func (e *Engine) Requests() int { return int(e.asked.Load()) }

// Sent is how many bytes of lists were sent.
func (e *Engine) Sent() int64 { return e.sent.Load() }

// Updates is how many times a service was updated.
func (e *Engine) Updates() int {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.updates
}

// PutNetwork makes or replaces a network.
func (e *Engine) PutNetwork(n Network) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.networks[n.ID] = n
	e.emit("network", "create", n.ID)
}

// PutService makes or replaces a service.
func (e *Engine) PutService(s *Service) {
	e.mu.Lock()
	defer e.mu.Unlock()
	action := "create"
	if e.services[s.ID] != nil {
		action = "update"
	}
	e.index++
	s.version = e.index
	if s.Created.IsZero() {
		s.Created = time.Unix(int64(e.index), 0)
	}
	e.services[s.ID] = s
	e.emit("service", action, s.ID)
}

// RemoveService removes a service and its tasks.
func (e *Engine) RemoveService(id string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	delete(e.services, id)
	delete(e.tasks, id)
	e.emit("service", "remove", id)
}

// PutTasks replaces the tasks of a service. No event tells of it, as in the engine.
func (e *Engine) PutTasks(service string, tasks ...Task) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.tasks[service] = tasks
}

// Replicas is how many tasks a service should have.
func (e *Engine) Replicas(id string) int {
	e.mu.Lock()
	defer e.mu.Unlock()
	if s := e.services[id]; s != nil {
		return s.Replicas
	}
	return 0
}

// Spec is what the last update of a service sent beside its replicas.
func (e *Engine) Spec(id string) map[string]json.RawMessage {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.services[id].more
}

// Configs are the names of the configs.
func (e *Engine) Configs() (names []string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, c := range e.configs {
		names = append(names, c.Spec.Name)
	}
	slices.Sort(names)
	return names
}

// emit sends an event to all streams. It is called with e.mu held.
func (e *Engine) emit(kind, action, id string) {
	now := time.Now()
	text, _ := json.Marshal(map[string]any{ // strings and numbers: it cannot fail
		"Type": kind, "Action": action, "scope": "swarm", "time": now.Unix(), "timeNano": now.UnixNano(),
		"Actor": map[string]any{"ID": id, "Attributes": map[string]string{"name": id}},
	})
	text = append(text, '\n')
	for c := range e.streams {
		select {
		case c <- text:
		default: // as the engine does with a reader that is too slow
		}
	}
}

// stream sends events until the client leaves or Cut.
func (e *Engine) stream(w http.ResponseWriter, r *http.Request) {
	events := make(chan []byte, 4096)
	e.mu.Lock()
	e.streams[events] = struct{}{}
	cut := e.cut
	e.mu.Unlock()
	defer func() {
		e.mu.Lock()
		delete(e.streams, events)
		e.mu.Unlock()
	}()
	w.Header().Set("Content-Type", "application/json")
	_ = http.NewResponseController(w).Flush() // a client that has left is noticed below
	for {
		select {
		case text := <-events:
			if _, err := w.Write(text); err != nil {
				return
			}
			_ = http.NewResponseController(w).Flush() // as above
		case <-cut:
			return
		case <-r.Context().Done():
			return
		}
	}
}

// filters reads the filters of a list.
func filters(r *http.Request) map[string][]string {
	sets := map[string]map[string]bool{}
	_ = json.Unmarshal([]byte(r.URL.Query().Get("filters")), &sets) // none
	all := map[string][]string{}
	for key, values := range sets {
		all[key] = slices.Sorted(maps.Keys(values))
	}
	return all
}

// has reports whether labels match the values of a filter, key or key=value.
func has(labels map[string]string, want []string) bool {
	for _, w := range want {
		key, value, valued := strings.Cut(w, "=")
		got, there := labels[key]
		if !there || valued && got != value {
			return false
		}
	}
	return true
}

func refuse(w http.ResponseWriter, status int, message string) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(map[string]string{"message": message}) // the client has left
}

// list writes a list, one element after another.
func (e *Engine) list(w http.ResponseWriter, elements func(yield func([]byte))) {
	w.Header().Set("Content-Type", "application/json")
	first := true
	elements(func(one []byte) {
		begin := ","
		if first {
			begin, first = "[", false
		}
		n, _ := fmt.Fprint(w, begin)
		m, _ := w.Write(one) // a client that has left needs no more
		e.sent.Add(int64(n + m))
	})
	if first {
		_, _ = fmt.Fprint(w, "[") // as above
	}
	_, _ = fmt.Fprint(w, "]\n") // as above
}
