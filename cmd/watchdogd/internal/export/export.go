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

// engine writes the plan for one engine, and adds to its notes.
type engine struct {
	name  string
	write func(*plan) ([]File, error)

	beside bool // its manifests read the files of the configuration from beside themselves
	onHost bool // no container: watchdogd, its file and its programs are those of this machine
}

var engines = []engine{
	{name: "swarm", write: swarm, beside: true},
	{name: "kubernetes", write: kubernetes},
	{name: "knative", write: knative},
	{name: "openfaas", write: openfaas},
	{name: "compose", write: compose, beside: true},
	{name: "systemd", write: systemd, onHost: true},
	{name: "nomad", write: nomad},
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
	p, err := newPlan(engines[i], app, o)
	if err != nil {
		return nil, nil, err
	}
	files, err = engines[i].write(p)
	if engines[i].beside && o.Out != "" {
		for _, f := range app.Files {
			files = append(files, File{Name: f.Path, Content: []byte(f.Content), Mode: f.mode})
		}
	}
	return files, p.notes, err
}
