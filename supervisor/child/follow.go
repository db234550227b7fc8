package child

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/watchdogd/watchdogd/internal/phrase"
)

// Source is what keeps lines and shows new ones as they come, as an Output does.
type Source interface {
	Lines() []Line           // those that are kept, oldest first
	Follow(*Follower) []Line // the same, and from now on the new ones go to the Follower
	Unfollow(f *Follower)    // which is given no more
}

// Selection is which of the lines that are kept are wanted.
type Selection struct {
	Last    int       // how many of the last ones; 0 is all
	Since   time.Time // none that are older
	Printed bool      // none that a program did not print
}

// has reports whether a line is of the wanted kind.
func (s Selection) has(l Line) bool { return !s.Printed || l.Stream != EventStream }

// LastLines returns the selected lines of sources together, oldest first.
func LastLines(sources []Source, wanted Selection) []Line {
	var all []Line
	for _, o := range sources {
		all = append(all, o.Lines()...)
	}
	return wanted.of(all)
}

// Follow calls each with the lines that LastLines returns, and then with each line as it
// comes, until ctx ends or each returns an error, which it returns. When lines come faster
// than they are taken, some are lost, and a line of the stream "lost" says how many.
func Follow(ctx context.Context, sources []Source, wanted Selection, each func(Line) error) error {
	f := newFollower()
	var all []Line
	for _, o := range sources {
		all = append(all, o.Follow(f)...)
		defer o.Unfollow(f)
	}
	for _, l := range wanted.of(all) {
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
			if !wanted.has(l) {
				continue
			}
			if lost := f.takeLost(); lost > 0 {
				if err := each(Line{Time: time.Now(), Stream: "lost", Text: phrase.Count(lost, "line") + phrase.Of(lost, " was", " were") + " lost"}); err != nil {
					return err
				}
			}
			if err := each(l); err != nil {
				return err
			}
		}
	}
}

// of sorts lines by their time and returns those that are wanted.
func (s Selection) of(all []Line) []Line {
	all = slices.DeleteFunc(all, func(l Line) bool { return !s.has(l) })
	slices.SortStableFunc(all, func(a, b Line) int { return a.Time.Compare(b.Time) })
	if !s.Since.IsZero() {
		first, _ := slices.BinarySearchFunc(all, s.Since, func(l Line, since time.Time) int { return l.Time.Compare(since) })
		all = all[first:]
	}
	if s.Last > 0 && len(all) > s.Last {
		all = all[len(all)-s.Last:]
	}
	return all
}

// Follower is told of the lines of one or several outputs as they come.
type Follower struct {
	lines chan Line
	mu    sync.Mutex
	bytes int // in lines
	lost  int
}

func newFollower() *Follower { return &Follower{lines: make(chan Line, 1024)} }

// Put gives it a line. It never waits: a line that finds no room is lost, and counted.
func (f *Follower) Put(l Line) {
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
func (f *Follower) took(l Line) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.bytes -= len(l.Text)
}

// takeLost is how many lines did not reach the follower since it last asked.
func (f *Follower) takeLost() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	n := f.lost
	f.lost = 0
	return n
}

// Follow implements Source.
func (o *Output) Follow(f *Follower) []Line {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.readers == nil {
		o.readers = map[*Follower]struct{}{}
	}
	o.readers[f] = struct{}{}
	return o.last.lines()
}

// Unfollow implements Source.
func (o *Output) Unfollow(f *Follower) {
	o.mu.Lock()
	defer o.mu.Unlock()
	delete(o.readers, f)
}
