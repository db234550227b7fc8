package top

import (
	"bufio"
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"strconv"
	"sync"
	"time"

	"github.com/watchdogd/watchdogd/cmd/watchdogd/internal/admin"
	"github.com/watchdogd/watchdogd/internal/sleep"
	"github.com/watchdogd/watchdogd/supervisor/child"
)

const (
	followAfter = 100 * time.Millisecond // a selection that moves on is not followed
	followAgain = time.Second
	drawEvery   = 50 * time.Millisecond
	firstLines  = 300
	longestLine = 1 << 20 // of JSON
)

// printed are new lines of the log that is followed.
type printed struct {
	of    Follow
	lines []child.Line
}

// follow sends the lines of the log that was asked for last, until ctx ends.
func follow(ctx context.Context, s *stack, asked <-chan Follow, send func(any)) {
	var of Follow
	for {
		following, stop := context.WithCancel(ctx)
		var one sync.WaitGroup
		if now := of; now.Name != "" {
			one.Go(func() { followOne(following, s, now, send) })
		}
		select {
		case of = <-asked:
		case <-ctx.Done():
		}
		stop()
		one.Wait()
		if ctx.Err() != nil {
			return
		}
	}
}

// followOne sends the lines of one log. Where the stream ends, as with the watchdogd that
// sends it, it asks for what came since.
func followOne(ctx context.Context, s *stack, of Follow, send func(any)) {
	lines := &pending{ready: make(chan struct{}, 1)}
	var sending sync.WaitGroup
	defer sending.Wait()
	sending.Go(func() {
		for {
			select {
			case <-lines.ready:
			case <-ctx.Done():
				return
			}
			send(printed{of, lines.take()})
			sleep.For(ctx, drawEvery)
		}
	})
	for pause := followAfter; sleep.For(ctx, pause); pause = followAgain {
		read(ctx, *s.client.Load(), of, lines)
	}
}

// read reads lines until the stream ends. What goes wrong is seen by the observations too.
func read(ctx context.Context, client admin.Client, of Follow, to *pending) {
	query := url.Values{"name": {of.Name}, "lines": {strconv.Itoa(firstLines)}, "follow": {""}}
	if of.Requests {
		query.Set("requests", "")
	}
	if !to.last.IsZero() {
		query.Set("since", to.last.Add(1).Format(time.RFC3339Nano))
	}
	response, err := client.Send(ctx, http.MethodGet, "/v1/logs?"+query.Encode(), nil, nil)
	if err != nil {
		return
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return
	}
	in := bufio.NewScanner(response.Body)
	in.Buffer(nil, longestLine)
	for in.Scan() {
		var line child.Line
		if json.Unmarshal(in.Bytes(), &line) == nil {
			to.add(line)
		}
	}
}

// pending are lines that were read and not sent yet. More than are kept are not needed.
type pending struct {
	ready chan struct{}
	last  time.Time // of the last line that was read

	mu    sync.Mutex
	lines []child.Line
}

func (p *pending) add(line child.Line) {
	p.last, line.Text = line.Time, short(line.Text)
	p.mu.Lock()
	if p.lines = append(p.lines, line); len(p.lines) >= 2*mostLines {
		p.lines = append([]child.Line(nil), p.lines[mostLines:]...)
	}
	p.mu.Unlock()
	select {
	case p.ready <- struct{}{}:
	default: // it is known already
	}
}

func (p *pending) take() []child.Line {
	p.mu.Lock()
	defer p.mu.Unlock()
	lines := p.lines
	p.lines = nil
	return lines
}
