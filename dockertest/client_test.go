package dockertest

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/moby/moby/api/types/network"
	"github.com/moby/moby/api/types/swarm"
	"github.com/moby/moby/client"

	"github.com/watchdogd/watchdogd/supervisor/swarm/engine"
)

// recorder answers like an engine, by the types of moby, and keeps the requests.
type recorder struct {
	*httptest.Server
	answers  map[string]any // by the path without the version
	requests []request
}

// request is what is compared of one.
type request struct {
	Method, Path, Filters, Version string
	Body                           any
}

func record(t *testing.T, answers map[string]any) *recorder {
	r := &recorder{answers: answers}
	r.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		w.Header().Set("Api-Version", "1.47")
		if q.URL.Path == "/_ping" {
			return
		}
		path := "/" + strings.SplitN(q.URL.Path, "/", 3)[2]
		one := request{q.Method, path, q.URL.Query().Get("filters"), q.URL.Query().Get("version"), nil}
		if text, _ := io.ReadAll(q.Body); len(text) > 0 {
			if err := json.Unmarshal(text, &one.Body); err != nil {
				t.Errorf("%s %s: got a body that is no JSON: %v", q.Method, path, err)
			}
		}
		r.requests = append(r.requests, one)
		_ = json.NewEncoder(w).Encode(answers[path])
	}))
	t.Cleanup(r.Close)
	return r
}

// ours and theirs are the clients of an engine.
func clients(t *testing.T, r *recorder) (ours *engine.Client, theirs *client.Client) {
	t.Helper()
	host := strings.Replace(r.URL, "http", "tcp", 1)
	ours, err := engine.New(host, func(string) (string, bool) { return "", false })
	if err != nil {
		t.Fatal(err)
	}
	theirs, err = client.New(client.WithHost(host))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ours.Close()
		_ = theirs.Close()
	})
	return ours, theirs
}

func aService() swarm.Service {
	replicas := uint64(3)
	s := swarm.Service{ID: "s1", ServiceStatus: &swarm.ServiceStatus{RunningTasks: 2, DesiredTasks: 3}, UpdateStatus: &swarm.UpdateStatus{State: swarm.UpdateStateUpdating, Message: "update in progress"}}
	s.Version.Index, s.CreatedAt = 42, time.Unix(1000, 5).UTC()
	s.Spec.Name, s.Spec.Labels = "echo", map[string]string{"watchdogd.function": "", "watchdogd.max": "3"}
	s.Spec.Mode.Replicated = &swarm.ReplicatedService{Replicas: &replicas}
	s.Spec.TaskTemplate.ContainerSpec = &swarm.ContainerSpec{Image: "echo:1", Env: []string{"A=b"}}
	s.Spec.TaskTemplate.Networks = []swarm.NetworkAttachmentConfig{{Target: "net1"}, {Target: "net2"}}
	return s
}

func TestServicesTasksAndNetworksAreReadAsByMoby(t *testing.T) {
	task := swarm.Task{ID: "t1", ServiceID: "s1", NodeID: "n1", DesiredState: swarm.TaskStateRunning}
	task.Status = swarm.TaskStatus{Timestamp: time.Unix(7, 9).UTC(), State: swarm.TaskStateFailed, Err: "task: non-zero exit (3)", ContainerStatus: &swarm.ContainerStatus{ExitCode: 3}}
	task.NetworksAttachments = []swarm.NetworkAttachment{{Network: swarm.Network{ID: "net1"}, Addresses: []netip.Prefix{netip.MustParsePrefix("10.0.1.7/24")}}}
	net := network.Summary{Network: network.Network{ID: "net1", Name: "functions", Driver: "overlay", Scope: "swarm", Ingress: true}}
	net.IPAM.Config = []network.IPAMConfig{{Subnet: netip.MustParsePrefix("10.0.1.0/24")}}
	config := swarm.Config{ID: "c1"}
	config.Version.Index, config.Spec.Name, config.Spec.Labels, config.Spec.Data = 9, "lease", map[string]string{"holder": "a"}, []byte("x")
	r := record(t, map[string]any{"/services": []swarm.Service{aService()}, "/tasks": []swarm.Task{task}, "/networks": []network.Summary{net}, "/configs": []swarm.Config{config}})
	ours, theirs := clients(t, r)
	ctx := context.Background()

	var service engine.Service
	if err := ours.Services(ctx, engine.Filter{"label": {"watchdogd.function"}}, func(s *engine.Service) { service = *s }); err != nil {
		t.Fatal(err)
	}
	listed, err := theirs.ServiceList(ctx, client.ServiceListOptions{Status: true, Filters: make(client.Filters).Add("label", "watchdogd.function")})
	if err != nil {
		t.Fatal(err)
	}
	want := listed.Items[0]
	n, scalable := service.Replicas()
	if service.ID != want.ID || service.Version.Index != want.Version.Index || !service.CreatedAt.Equal(want.CreatedAt) || service.Spec.Name != want.Spec.Name ||
		!reflect.DeepEqual(service.Spec.Labels, want.Spec.Labels) || n != *want.Spec.Mode.Replicated.Replicas || !scalable || !service.Updating() ||
		len(service.Attached()) != 2 || service.Attached()[1].Target != want.Spec.TaskTemplate.Networks[1].Target || service.ServiceStatus.DesiredTasks != want.ServiceStatus.DesiredTasks {
		t.Errorf("got %+v, want as moby reads it: %+v", service, want)
	}

	var one engine.Task
	if err := ours.Tasks(ctx, engine.Filter{"service": {"s1"}, "desired-state": {"running"}}, func(t *engine.Task) { one = *t }); err != nil {
		t.Fatal(err)
	}
	tasks, err := theirs.TaskList(ctx, client.TaskListOptions{Filters: make(client.Filters).Add("service", "s1").Add("desired-state", "running")})
	if err != nil {
		t.Fatal(err)
	}
	if w := tasks.Items[0]; one.ID != w.ID || one.ServiceID != w.ServiceID || one.DesiredState != string(w.DesiredState) || one.Status.State != string(w.Status.State) ||
		one.Status.Err != w.Status.Err || one.Status.ContainerStatus.ExitCode != w.Status.ContainerStatus.ExitCode || !one.Status.Timestamp.Equal(w.Status.Timestamp) ||
		one.NetworksAttachments[0].Network.ID != w.NetworksAttachments[0].Network.ID || one.NetworksAttachments[0].Addresses[0] != w.NetworksAttachments[0].Addresses[0].String() {
		t.Errorf("got %+v, want as moby reads it: %+v", one, w)
	}

	var found engine.Network
	if err := ours.Networks(ctx, engine.Filter{"scope": {"swarm"}}, func(n *engine.Network) { found = *n }); err != nil {
		t.Fatal(err)
	}
	networks, err := theirs.NetworkList(ctx, client.NetworkListOptions{Filters: make(client.Filters).Add("scope", "swarm")})
	if err != nil {
		t.Fatal(err)
	}
	if w := networks.Items[0]; found.ID != w.ID || found.Name != w.Name || found.Ingress != w.Ingress || found.IPAM.Config[0].Subnet != w.IPAM.Config[0].Subnet.String() {
		t.Errorf("got %+v, want as moby reads it: %+v", found, w)
	}

	var lease *engine.Config
	if err := ours.Configs(ctx, engine.Filter{"name": {"lease"}}, func(c *engine.Config) { lease = c }); err != nil {
		t.Fatal(err)
	}
	if _, err := theirs.ConfigList(ctx, client.ConfigListOptions{Filters: make(client.Filters).Add("name", "lease")}); err != nil {
		t.Fatal(err)
	}
	if err := ours.UpdateConfig(ctx, lease, map[string]string{"holder": "b"}); err != nil {
		t.Fatal(err)
	}
	config.Spec.Labels["holder"] = "b"
	if _, err := theirs.ConfigUpdate(ctx, "c1", client.ConfigUpdateOptions{Version: config.Version, Spec: config.Spec}); err != nil {
		t.Fatal(err)
	}
	pairs(t, r.requests)
}

// pairs reports requests of ours that differ from those of moby, which follow each.
func pairs(t *testing.T, all []request) {
	t.Helper()
	for i := 0; i+1 < len(all); i += 2 {
		if !reflect.DeepEqual(all[i], all[i+1]) {
			t.Errorf("got the request %+v, want that of moby: %+v", all[i], all[i+1])
		}
	}
}

func TestAnUpdateIsSentAsByMoby(t *testing.T) {
	r := record(t, map[string]any{"/services/s1": aService(), "/services/s1/update": swarm.ServiceUpdateResponse{}})
	ours, theirs := clients(t, r)
	ctx := context.Background()
	if _, err := ours.Scale(ctx, "s1", func(*engine.Service) (uint64, bool) { return 5, true }); err != nil {
		t.Fatal(err)
	}
	five := uint64(5)
	want := aService()
	want.Spec.Mode.Replicated.Replicas = &five
	if _, err := theirs.ServiceUpdate(ctx, "s1", client.ServiceUpdateOptions{Version: want.Version, Spec: want.Spec}); err != nil {
		t.Fatal(err)
	}
	sent := r.requests[1:]
	sent[1].Path = strings.TrimSuffix(sent[1].Path, "?")
	pairs(t, sent)
}
