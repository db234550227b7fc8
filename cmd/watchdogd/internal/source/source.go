// Package source finds the configuration that the command line means.
package source

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/watchdogd/watchdogd/internal/phrase"
	"github.com/watchdogd/watchdogd/schema"
	"github.com/watchdogd/watchdogd/schema/openfaas"
)

// DefaultFile is read where neither -c nor $WATCHDOG_CONFIG names another.
const DefaultFile = "watchdog.yaml"

// ErrNone is wrapped by the error of Load if there is no configuration at all.
var ErrNone = errors.New("no configuration")

// Source is where the command line says the configuration comes from.
type Source struct {
	File string   // -c
	Env  bool     // --env, or the program is called fwatchdog
	Only []string // --only, else $WATCHDOG_ONLY

	// Admin is the address of the admin API of a running watchdogd, of which the
	// configuration is then not read: --admin.
	Admin string

	Change func(*schema.Config) // changes what was loaded; nil changes nothing

	Program string // the name that the program was started by, where that is fwatchdog

	// Draft is the text of a file that is not there: File is where it would be.
	Draft []byte
	// AnyPort has a server of that file be served on whatever port it listens.
	AnyPort bool
}

// Load reads the configuration. The error is schema.Problems where the content of
// a file is at fault. The notes are those of an environment.
func (s *Source) Load() (*schema.Config, openfaas.Notes, error) {
	file, err := s.Find()
	if err != nil {
		return nil, openfaas.Notes{}, err
	}
	var cfg *schema.Config
	var notes openfaas.Notes
	switch {
	case s.Draft != nil:
		if cfg, err = schema.Parse(file, s.Draft, os.LookupEnv); err == nil {
			cfg.AnyPort = s.AnyPort
		}
	case file == "":
		cfg, notes, err = openfaas.FromEnv(os.Environ(), s.Program)
	default:
		cfg, err = schema.Load(file, os.LookupEnv)
	}
	if only := os.Getenv("WATCHDOG_ONLY"); s.Only == nil && only != "" && file != "" {
		s.Only = strings.Split(only, ",")
	}
	if err == nil {
		cfg, err = narrow(cfg, s.Only)
	}
	if err == nil && s.Change != nil {
		changed := *cfg
		s.Change(&changed)
		cfg = &changed
	}
	return cfg, notes, err
}

// Find returns the path of the file: -c, then $WATCHDOG_CONFIG, then ./watchdog.yaml. It is
// empty where there is none and the environment is a configuration.
func (s *Source) Find() (string, error) {
	if s.Env {
		return "", nil
	}
	if s.File != "" {
		return s.File, nil
	}
	if file := os.Getenv("WATCHDOG_CONFIG"); file != "" {
		return file, nil
	}
	_, err := os.Stat(DefaultFile)
	inEnv := openfaas.InEnv(os.Environ())
	switch {
	case err == nil:
		return DefaultFile, nil
	case inEnv && (errors.Is(err, os.ErrNotExist) || errors.Is(err, os.ErrPermission)):
		return "", nil // images run in /root as another user, who cannot look there
	case !errors.Is(err, os.ErrNotExist):
		return DefaultFile, nil // and its own error, when it is read
	}
	if other := misnamed(); other != "" {
		return "", fmt.Errorf("%w: there is no ./%s, but there is a ./%s: rename it, or run watchdogd -c %s", ErrNone, DefaultFile, other, other)
	}
	return "", fmt.Errorf("%w: -c and $WATCHDOG_CONFIG are not set, ./watchdog.yaml does not exist, and the environment has none of fprocess, function_process and mode; watchdogd init writes a file, watchdogd try serves a command without one, and -c names a file", ErrNone)
}

// None returns a configuration that stands for what serves a command in this folder, without
// a file: it has the name and the place that a file here would have.
func None() (*schema.Config, error) {
	file, err := filepath.Abs(DefaultFile)
	if err != nil {
		return nil, err
	}
	return schema.Parse(file, []byte("routes: [{name: none, mode: static, root: .}]"), func(string) (string, bool) { return "", false })
}

// misnamed is a file in this folder that was most likely meant to be DefaultFile.
func misnamed() string {
	for _, name := range []string{"watchdog.yml", "watchdogd.yaml", "watchdogd.yml", "Watchdog.yaml", "Watchdog.yml", ".watchdog.yaml", ".watchdog.yml"} {
		if info, err := os.Stat(name); err == nil && info.Mode().IsRegular() {
			return name
		}
	}
	return ""
}

// Origin names where a configuration came from.
func Origin(cfg *schema.Config) string {
	if cfg.File == "" {
		return "the environment"
	}
	return cfg.File
}

// Named is what an operator calls a key of cfg: by its name in the file, or by the
// variable where the environment is the configuration.
func Named(cfg *schema.Config, key, variable string) string {
	if cfg.File == "" {
		return variable
	}
	return key
}

// narrow keeps the named routes and services and what they depend on; no names keep all.
func narrow(cfg *schema.Config, names []string) (*schema.Config, error) {
	if len(names) == 0 {
		return cfg, nil
	}
	needs := map[string]map[string]string{}
	for i := range cfg.Routes {
		needs[cfg.Routes[i].Name] = cfg.Routes[i].DependsOn
	}
	for i := range cfg.Services {
		needs[cfg.Services[i].Name] = cfg.Services[i].DependsOn
	}
	keep := map[string]bool{}
	var add func(name string)
	add = func(name string) {
		if keep[name] {
			return
		}
		keep[name] = true
		for dependency := range needs[name] {
			add(dependency)
		}
	}
	for _, name := range names {
		if _, known := needs[name]; !known {
			if near := phrase.Nearest(name, namesOf(cfg)); near != "" {
				return nil, fmt.Errorf("--only %s: no route or service has that name; did you mean %s?", name, near)
			}
			return nil, fmt.Errorf("--only %s: no route or service has that name; %s has %s", name, Origin(cfg), strings.Join(namesOf(cfg), ", "))
		}
		add(name)
	}
	narrowed := *cfg
	narrowed.Routes, narrowed.Services = nil, nil
	for _, r := range cfg.Routes {
		if keep[r.Name] {
			narrowed.Routes = append(narrowed.Routes, r)
		}
	}
	for _, s := range cfg.Services {
		if keep[s.Name] {
			narrowed.Services = append(narrowed.Services, s)
		}
	}
	return &narrowed, nil
}

// namesOf lists the names of all routes and services in the order of the file.
func namesOf(cfg *schema.Config) []string {
	var names []string
	for i := range cfg.Routes {
		names = append(names, cfg.Routes[i].Name)
	}
	for i := range cfg.Services {
		names = append(names, cfg.Services[i].Name)
	}
	return names
}
