package enginetest

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
)

func (e *Engine) listServices(w http.ResponseWriter, r *http.Request) {
	f := filters(r)
	e.mu.Lock()
	var all []*Service
	if ids := f["id"]; ids != nil {
		for _, id := range ids {
			if s := e.services[id]; s != nil {
				all = append(all, s)
			}
		}
	} else {
		for _, s := range e.services {
			all = append(all, s)
		}
	}
	all = slices.DeleteFunc(all, func(s *Service) bool { return !has(s.Labels, f["label"]) })
	texts := make([][]byte, 0, len(all))
	for _, s := range all {
		texts = append(texts, e.service(s))
	}
	e.mu.Unlock()
	e.list(w, func(yield func([]byte)) {
		for _, t := range texts {
			yield(t)
		}
	})
}

// service is the text of a service, as long as the engine's own. It is called with e.mu held.
func (e *Engine) service(s *Service) []byte {
	mode := map[string]any{"Replicated": map[string]any{"Replicas": s.Replicas}}
	if s.Replicas < 0 {
		mode = map[string]any{"Global": map[string]any{}}
	}
	var networks []map[string]string
	for _, n := range s.Networks {
		networks = append(networks, map[string]string{"Target": n})
	}
	running := 0
	for _, t := range e.tasks[s.ID] {
		if t.State == "running" && t.Desired == "" {
			running++
		}
	}
	spec := map[string]any{
		"Name": s.Name, "Labels": s.Labels, "Mode": mode,
		"TaskTemplate": map[string]any{"ContainerSpec": container(s.Name), "Networks": networks, "ForceUpdate": 0, "Runtime": "container"},
		"EndpointSpec": map[string]any{"Mode": "dnsrr"}, "FieldOfTomorrow": 12345678901234567,
	}
	one := map[string]any{
		"ID": s.ID, "Version": map[string]uint64{"Index": s.version}, "CreatedAt": s.Created, "UpdatedAt": s.Created, "Spec": spec,
		"Endpoint": map[string]any{"Spec": map[string]any{}}, "ServiceStatus": map[string]int{"RunningTasks": running, "DesiredTasks": max(s.Replicas, 0), "CompletedTasks": 0},
	}
	if s.Update != "" {
		one["UpdateStatus"] = map[string]string{"State": s.Update, "Message": "update"}
	}
	text, _ := json.Marshal(one) // strings and numbers: it cannot fail
	return text
}

// container is the specification of a container as the engine has it for each task.
func container(name string) map[string]any {
	return map[string]any{
		"Image":  "registry.example.org/functions/" + name + ":latest@sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef",
		"Labels": map[string]string{"com.docker.stack.namespace": "functions"}, "Init": false, "Isolation": "default",
		"Env": []string{"fprocess=cat", "write_timeout=30s", "read_timeout=30s", "exec_timeout=30s"}, "StopGracePeriod": 10000000000,
		"DNSConfig": map[string]any{}, "Privileges": map[string]any{"CredentialSpec": nil, "SELinuxContext": nil},
	}
}

func (e *Engine) inspectService(w http.ResponseWriter, r *http.Request) {
	e.mu.Lock()
	defer e.mu.Unlock()
	s := e.services[r.PathValue("id")]
	if s == nil {
		refuse(w, http.StatusNotFound, "service "+r.PathValue("id")+" not found")
		return
	}
	_, _ = w.Write(e.service(s)) // the client has left
}

func (e *Engine) updateService(w http.ResponseWriter, r *http.Request) {
	var spec map[string]json.RawMessage
	var is struct {
		Name string
		Mode struct{ Replicated *struct{ Replicas int } }
	}
	raw := json.RawMessage{}
	if err := json.NewDecoder(r.Body).Decode(&raw); err != nil || json.Unmarshal(raw, &spec) != nil || json.Unmarshal(raw, &is) != nil || is.Mode.Replicated == nil {
		refuse(w, http.StatusBadRequest, "invalid specification of a service")
		return
	}
	e.mu.Lock()
	s := e.services[r.PathValue("id")]
	switch version := r.URL.Query().Get("version"); {
	case s == nil:
		e.mu.Unlock()
		refuse(w, http.StatusNotFound, "service "+r.PathValue("id")+" not found")
		return
	case version != strconv.FormatUint(s.version, 10):
		e.mu.Unlock()
		refuse(w, http.StatusInternalServerError, "rpc error: code = Unknown desc = update out of sequence")
		return
	}
	e.index++
	e.updates++
	s.version, s.Replicas, s.more = e.index, is.Mode.Replicated.Replicas, spec
	e.emit("service", "update", s.ID)
	id, n := s.ID, s.Replicas
	e.mu.Unlock()
	if e.Scaled != nil {
		e.Scaled(id, n)
	}
	_, _ = fmt.Fprintln(w, `{"Warnings":null}`) // the client has left
}

func (e *Engine) listTasks(w http.ResponseWriter, r *http.Request) {
	f := filters(r)
	type one struct {
		service, name string
		task          Task
	}
	var all []one
	e.mu.Lock()
	ids := f["service"]
	if ids == nil {
		for id := range e.services {
			ids = append(ids, id)
		}
	}
	for _, id := range ids {
		s := e.services[id]
		if s == nil {
			continue
		}
		for _, t := range e.tasks[id] {
			if t.Desired == "" {
				t.Desired = "running"
			}
			if want := f["desired-state"]; want == nil || slices.Contains(want, t.Desired) {
				all = append(all, one{id, s.Name, t})
			}
		}
	}
	e.mu.Unlock()
	e.list(w, func(yield func([]byte)) {
		for _, o := range all {
			yield(taskText(o.service, o.name, o.task))
		}
	})
}

// taskText is the text of a task, as long as the engine's own.
func taskText(service, name string, t Task) []byte {
	spec, _ := json.Marshal(container(name)) // strings: it cannot fail
	var b strings.Builder
	at := t.At.UTC().Format("2006-01-02T15:04:05.999999999Z07:00")
	fmt.Fprintf(&b, `{"ID":%q,"Version":{"Index":%d},"CreatedAt":%q,"UpdatedAt":%q,"Labels":{},"Spec":{"ContainerSpec":%s,"Resources":{"Limits":{},"Reservations":{}},"Placement":{"Platforms":[{"Architecture":"amd64","OS":"linux"}]},"Networks":[{"Target":%q}],"ForceUpdate":0},"ServiceID":%q,"Slot":%d,"NodeID":"node1",`,
		t.ID, 7, at, at, spec, t.Network, service, t.Slot)
	fmt.Fprintf(&b, `"Status":{"Timestamp":%q,"State":%q,"Message":"started","Err":%q,"ContainerStatus":{"ContainerID":"0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef","PID":4242,"ExitCode":%d},"PortStatus":{}},"DesiredState":%q,`,
		at, t.State, t.Err, t.ExitCode, t.Desired)
	addresses := "null"
	if t.Address != "" {
		addresses = fmt.Sprintf("[%q]", t.Address)
	}
	fmt.Fprintf(&b, `"NetworksAttachments":[{"Network":{"ID":%q,"Version":{"Index":20},"CreatedAt":%q,"UpdatedAt":%q,"Spec":{"Name":"functions","Labels":{},"DriverConfiguration":{"Name":"overlay"},"IPAMOptions":{"Driver":{"Name":"default"}},"Scope":"swarm"},"DriverState":{"Name":"overlay","Options":{"com.docker.network.driver.overlay.vxlanid_list":"4097"}},"IPAMOptions":{"Driver":{"Name":"default"},"Configs":[{"Subnet":"10.0.1.0/24","Gateway":"10.0.1.1"}]}},"Addresses":%s}]}`,
		t.Network, at, at, addresses)
	return []byte(b.String())
}

func (e *Engine) listNetworks(w http.ResponseWriter, _ *http.Request) {
	e.mu.Lock()
	var texts [][]byte
	for _, n := range e.networks {
		text, _ := json.Marshal(map[string]any{ // strings: it cannot fail
			"ID": n.ID, "Name": n.Name, "Driver": "overlay", "Scope": "swarm", "Ingress": n.Ingress,
			"IPAM": map[string]any{"Driver": "default", "Config": []map[string]string{{"Subnet": n.Subnet}}},
		})
		texts = append(texts, text)
	}
	e.mu.Unlock()
	e.list(w, func(yield func([]byte)) {
		for _, t := range texts {
			yield(t)
		}
	})
}

func (e *Engine) listConfigs(w http.ResponseWriter, r *http.Request) {
	f := filters(r)
	e.mu.Lock()
	var texts [][]byte
	for _, c := range e.configs {
		if has(c.Spec.Labels, f["label"]) && (f["name"] == nil || strings.HasPrefix(c.Spec.Name, f["name"][0])) {
			text, _ := json.Marshal(c) // strings and numbers: it cannot fail
			texts = append(texts, text)
		}
	}
	e.mu.Unlock()
	e.list(w, func(yield func([]byte)) {
		for _, t := range texts {
			yield(t)
		}
	})
}

func (e *Engine) createConfig(w http.ResponseWriter, r *http.Request) {
	c := &config{}
	if json.NewDecoder(r.Body).Decode(&c.Spec) != nil || c.Spec.Name == "" || len(c.Spec.Data) == 0 {
		refuse(w, http.StatusBadRequest, "invalid config")
		return
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, other := range e.configs {
		if other.Spec.Name == c.Spec.Name {
			refuse(w, http.StatusConflict, "rpc error: code = AlreadyExists desc = config "+c.Spec.Name+" already exists")
			return
		}
	}
	e.index++
	c.ID, c.Version.Index = fmt.Sprintf("config%d", e.index), e.index
	e.configs[c.ID] = c
	e.emit("config", "create", c.ID)
	w.WriteHeader(http.StatusCreated)
	_ = json.NewEncoder(w).Encode(map[string]string{"ID": c.ID}) // the client has left
}

func (e *Engine) updateConfig(w http.ResponseWriter, r *http.Request) {
	next := &config{}
	if json.NewDecoder(r.Body).Decode(&next.Spec) != nil {
		refuse(w, http.StatusBadRequest, "invalid config")
		return
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	c := e.configs[r.PathValue("id")]
	switch version := r.URL.Query().Get("version"); {
	case c == nil:
		refuse(w, http.StatusNotFound, "config "+r.PathValue("id")+" not found")
		return
	case version != strconv.FormatUint(c.Version.Index, 10):
		refuse(w, http.StatusInternalServerError, "rpc error: code = Unknown desc = update out of sequence")
		return
	case c.Spec.Name != next.Spec.Name || !slices.Equal(c.Spec.Data, next.Spec.Data):
		refuse(w, http.StatusBadRequest, "rpc error: code = InvalidArgument desc = only updates to Labels are allowed")
		return
	}
	e.index++
	c.Version.Index, c.Spec.Labels = e.index, next.Spec.Labels
	e.emit("config", "update", c.ID)
}

func (e *Engine) removeConfig(w http.ResponseWriter, r *http.Request) {
	e.mu.Lock()
	defer e.mu.Unlock()
	id := r.PathValue("id")
	if e.configs[id] == nil {
		refuse(w, http.StatusNotFound, "config "+id+" not found")
		return
	}
	delete(e.configs, id)
	e.emit("config", "remove", id)
	w.WriteHeader(http.StatusNoContent)
}
