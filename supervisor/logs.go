package supervisor

import (
	"context"
	"fmt"

	"github.com/watchdogd/watchdogd/supervisor/child"
)

// Sources are what keeps the lines of the processes called names, of all processes when there
// is no name: what they printed, and what happened to them.
func (s *Supervisor) Sources(names ...string) ([]child.Source, error) { return s.outputs(names) }

// Logs returns the last n lines that the processes called names printed, oldest first; of
// all processes when there is no name. 0 is all that are kept.
func (s *Supervisor) Logs(n int, names ...string) ([]child.Line, error) {
	outputs, err := s.outputs(names)
	if err != nil {
		return nil, err
	}
	return child.LastLines(outputs, child.Selection{Last: n, Printed: true}), nil
}

// Follow calls each with the lines that Logs returns, and then with each line as it is
// printed, until ctx ends or each returns an error, which it returns.
func (s *Supervisor) Follow(ctx context.Context, n int, names []string, each func(child.Line) error) error {
	outputs, err := s.outputs(names)
	if err != nil {
		return err
	}
	return child.Follow(ctx, outputs, child.Selection{Last: n, Printed: true}, each)
}

// Attach has Logs and Sources know the output of a process that is not supervised, such
// as that of a forking route, under its own name.
func (s *Supervisor) Attach(o *child.Output) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.attached[o.Name()] = o
}

// Detach undoes Attach.
func (s *Supervisor) Detach(o *child.Output) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.attached[o.Name()] == o {
		delete(s.attached, o.Name())
	}
}

func (s *Supervisor) outputs(names []string) ([]child.Source, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var all []child.Source
	if len(names) == 0 {
		for _, p := range s.order {
			all = append(all, p.output)
		}
		for _, o := range s.attached {
			all = append(all, o)
		}
	}
	for _, n := range names {
		p, o := s.byName[n], s.attached[n]
		if p == nil && o == nil {
			return nil, fmt.Errorf("no process is called %q", n)
		}
		if p != nil {
			all = append(all, p.output)
		}
		if o != nil {
			all = append(all, o)
		}
	}
	return all, nil
}
