package child

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"
)

// LastLines returns the last n lines of outputs together, oldest first; 0 is all that are
// kept.
func LastLines(outputs []*Output, n int) []Line {
	var all []Line
	for _, o := range outputs {
		all = append(all, o.Lines()...)
	}
	return lastOf(all, n)
}

// Follow calls each with the lines that LastLines returns, and then with each line as it is
// printed, until ctx ends or each returns an error, which it returns. When lines come faster
// than they are taken, some are lost, and a line of the stream "lost" says how many.
func Follow(ctx context.Context, outputs []*Output, n int, each func(Line) error) error {
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

// lastOf sorts lines by their time and returns the last n of them; 0 is all.
func lastOf(all []Line, n int) []Line {
	slices.SortStableFunc(all, func(a, b Line) int { return a.Time.Compare(b.Time) })
	if n > 0 && len(all) > n {
		all = all[len(all)-n:]
	}
	return all
}

// follower is told of the lines of one or several outputs as they come.
type follower struct {
	lines chan Line
	mu    sync.Mutex
	bytes int // in lines
	lost  int
}

func newFollower() *follower { return &follower{lines: make(chan Line, 1024)} }

func (f *follower) put(l Line) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.bytes >= maxQueue {
		f.lost++
		return
	}
	select {
	case f.lines <- l:
		f.bytes += len(l.Text)
	default:
		f.lost++
	}
}

// took is called with each line that was taken from lines.
func (f *follower) took(l Line) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.bytes -= len(l.Text)
}

// takeLost is how many lines did not reach the follower since it last asked.
func (f *follower) takeLost() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	n := f.lost
	f.lost = 0
	return n
}

// follow returns the last lines, and f those that come after them until unfollow.
func (o *Output) follow(f *follower) []Line {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.readers == nil {
		o.readers = map[*follower]struct{}{}
	}
	o.readers[f] = struct{}{}
	return o.last.lines()
}

func (o *Output) unfollow(f *follower) {
	o.mu.Lock()
	defer o.mu.Unlock()
	delete(o.readers, f)
}
