package main

import (
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/watchdogd/watchdogd/schema"
)

// defaultFile is read where neither -c nor $WATCHDOG_CONFIG names another.
const defaultFile = "watchdog.yaml"

// source is where the configuration comes from, as the command line has it.
type source struct {
	file string   // -c
	only []string // --only
}

// load reads the configuration. The error is schema.Problems where the content of
// the file is at fault.
func (s *source) load() (*schema.Config, error) {
	file, err := s.find()
	if err != nil {
		return nil, err
	}
	cfg, err := schema.Load(file, os.LookupEnv)
	if err != nil {
		return nil, err
	}
	return narrow(cfg, s.only)
}

// find is the path of the file: -c, then $WATCHDOG_CONFIG, then ./watchdog.yaml.
func (s *source) find() (string, error) {
	if s.file != "" {
		return s.file, nil
	}
	if file := os.Getenv("WATCHDOG_CONFIG"); file != "" {
		return file, nil
	}
	if _, err := os.Stat(defaultFile); err == nil || !errors.Is(err, os.ErrNotExist) {
		return defaultFile, nil // and its own error, when it is read
	}
	return "", errors.New("no configuration: there is no ./watchdog.yaml, $WATCHDOG_CONFIG is not set, and no -c was given; write one (the README's quick start shows how), or name it with -c FILE")
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
			return nil, fmt.Errorf("--only %s: no route or service has that name; %s has %s", name, cfg.File, strings.Join(namesOf(cfg), ", "))
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
