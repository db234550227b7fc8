// Package export writes the manifests by which a container engine, a cluster or systemd
// runs a configuration.
//
//	app, err := export.Read(cfg, os.LookupEnv)
//	files, notes, err := export.Write("kubernetes", app, export.Options{Image: "registry.example/shop:1"})
//
// An App is the configuration together with the files that it was read from: the files go
// into the manifests as they are written, so that the values of ${...} do not. plan.go
// decides what runs where (Layout), budget.go how long a stop may take, memory.go what
// it needs; each engine's file says only how that engine writes it. What an engine has no
// equivalent for is a note: a comment at the head of the manifest, and a line for the operator.
package export

import (
	"fmt"
	"slices"
	"strings"
)

// Options are what the configuration does not say. The zero Options are not complete; see
// Complete.
type Options struct {
	Layout    string // Bundle or Split
	Image     string // of the container; it holds watchdogd and the programs
	Program   string // watchdogd in the image
	Folder    string // of the file in the image
	Namespace string // of Kubernetes
	Min, Max  int    // replicas of each container
	Scaler    string // of Kubernetes, where Max is above Min: HPA or KEDA
	Publish   string // of Swarm: Ingress or Host
	Update    string // of Swarm: StartFirst or StopFirst
}

// The values of Options.
const (
	Bundle     = "bundle" // one container with everything
	Split      = "split"  // a container for each route, and a gateway in front
	HPA        = "hpa"
	KEDA       = "keda"
	Ingress    = "ingress"
	Host       = "host"
	StartFirst = "start-first"
	StopFirst  = "stop-first"
)

// Complete fills in the defaults and refuses values that are not known.
func (o Options) Complete(name string) (Options, error) {
	for _, v := range []struct {
		flag    string
		value   *string
		allowed []string // the first is the default
	}{
		{"layout", &o.Layout, []string{Bundle, Split}},
		{"scaler", &o.Scaler, []string{HPA, KEDA}},
		{"publish", &o.Publish, []string{Ingress, Host}},
		{"update", &o.Update, []string{StartFirst, StopFirst}},
	} {
		if *v.value == "" {
			*v.value = v.allowed[0]
		}
		if !slices.Contains(v.allowed, *v.value) {
			return o, fmt.Errorf("--%s %q is not known: write %s", v.flag, *v.value, strings.Join(v.allowed, " or "))
		}
	}
	for _, v := range []struct{ value, otherwise *string }{
		{&o.Image, new(name + ":latest")},
		{&o.Program, new("watchdogd")},
		{&o.Folder, new("/app")},
		{&o.Namespace, new("default")},
	} {
		if *v.value == "" {
			*v.value = *v.otherwise
		}
	}
	o.Min = max(o.Min, 1)
	o.Max = max(o.Max, o.Min)
	return o, nil
}

// File is one file of manifests.
type File struct {
	Name    string
	Content []byte
}

// engine writes the plan for one engine, and adds to its notes.
type engine struct {
	name  string
	write func(*plan) ([]File, error)
}

var engines = []engine{
	{"swarm", swarm},
	{"kubernetes", kubernetes},
	{"knative", knative},
	{"openfaas", openfaas},
	{"compose", compose},
	{"systemd", systemd},
	{"nomad", nomad},
}

// Engines are the names that Write knows.
func Engines() []string {
	var names []string
	for _, e := range engines {
		names = append(names, e.name)
	}
	return names
}

// Write returns the files by which the named engine runs app, and a note for each thing
// that the engine has no equivalent for. The options must be complete.
func Write(name string, app *App, o Options) (files []File, notes []string, err error) {
	i := slices.IndexFunc(engines, func(e engine) bool { return e.name == name })
	if i < 0 {
		return nil, nil, fmt.Errorf("%q is not a known engine: write one of %s", name, strings.Join(Engines(), ", "))
	}
	p, err := newPlan(name, app, o)
	if err != nil {
		return nil, nil, err
	}
	files, err = engines[i].write(p)
	return files, p.notes, err
}
