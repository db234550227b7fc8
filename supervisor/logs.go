package supervisor

import (
	"context"
	"fmt"
	"slices"
	"time"
)

// Logs gives the last lines that the processes called names printed, oldest first; of
// all processes when there is no name. At most n lines; 0 is all that are kept.
func (s *Supervisor) Logs(n int, names ...string) ([]Line, error) {
	outputs, err := s.outputs(names)
	if err != nil {
		return nil, err
	}
	var all []Line
	for _, o := range outputs {
		all = append(all, o.Lines()...)
	}
	return lastOf(all, n), nil
}

// Follow gives the lines that Logs gives, and then each as it is printed, until ctx ends
// or each returns an error, which it returns. When lines come faster than they are
// taken, some are lost, and a line of the stream "lost" says how many.
func (s *Supervisor) Follow(ctx context.Context, n int, names []string, each func(Line) error) error {
	outputs, err := s.outputs(names)
	if err != nil {
		return err
	}
	f := newFollower()
	var all []Line
	for _, o := range outputs {
		all = append(all, o.follow(f)...)
		defer o.unfollow(f)
	}
	for _, l := range lastOf(all, n) {
		if err := each(l); err != nil {
			return err
		}
	}
	for {
		select {
		case <-ctx.Done():
			return nil
		case l := <-f.lines:
			f.took(l)
			if lost := f.takeLost(); lost > 0 {
				if err := each(Line{Time: time.Now(), Stream: "lost", Text: fmt.Sprintf("%d lines were lost", lost)}); err != nil {
					return err
				}
			}
			if err := each(l); err != nil {
				return err
			}
		}
	}
}

// Attach has Logs and Follow know the output of a process that is not supervised, such
// as that of a forking route, under its own name.
func (s *Supervisor) Attach(o *Output) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.attached[o.name] = o
}

// Detach undoes Attach.
func (s *Supervisor) Detach(o *Output) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.attached[o.name] == o {
		delete(s.attached, o.name)
	}
}

func (s *Supervisor) outputs(names []string) ([]*Output, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var all []*Output
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

// lastOf puts lines in order and gives the last n of them; 0 is all.
func lastOf(all []Line, n int) []Line {
	slices.SortStableFunc(all, func(a, b Line) int { return a.Time.Compare(b.Time) })
	if n > 0 && len(all) > n {
		all = all[len(all)-n:]
	}
	return all
}
