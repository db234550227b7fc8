package top

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"syscall"
	"time"

	"github.com/watchdogd/watchdogd/cmd/watchdogd/internal/admin"
	"github.com/watchdogd/watchdogd/cmd/watchdogd/internal/history"
	"github.com/watchdogd/watchdogd/internal/sleep"
)

const (
	silence      = 10 * time.Second       // after which a watchdogd that sends an event a second is lost
	watchAgain   = 500 * time.Millisecond // after it was lost
	findAfter    = 3                      // failures before it is looked for elsewhere
	mostBefore   = 200                    // rows whose history is asked for: of more it is too coarse
	longestEvent = 64 << 20               // tens of thousands of routes
)

// began, changed and lost are what the program is sent about the stack.
type (
	began struct {
		at     time.Time
		who    admin.Info
		full   history.Full
		before history.History
	}
	changed struct {
		at     time.Time
		change history.Change
	}
	lost struct {
		at  time.Time
		err error
	}
)

// watch sends what the stack does until ctx ends. A stack that is lost is looked for.
func (s *stack) watch(ctx context.Context, send func(any)) {
	for failures := 0; ctx.Err() == nil; {
		err := s.events(ctx, func(m any) { failures = 0; send(m) })
		if ctx.Err() != nil {
			return
		}
		if errors.Is(err, errMore) {
			continue
		}
		send(lost{time.Now(), err})
		if failures++; failures%findAfter == 0 {
			if found, err := s.find(); err == nil {
				s.client.Store(&found)
			}
		}
		sleep.For(ctx, watchAgain)
	}
}

var (
	errSilent = fmt.Errorf("watchdogd has not answered for %v", silence)
	errEnded  = errors.New("the connection to watchdogd has ended")
	errNone   = errors.New("no watchdogd answers")
	errMore   = errors.New("there are new rows, whose place only a full event says")
)

// events sends the events of the stack until they end, and returns why.
func (s *stack) events(ctx context.Context, send func(any)) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	alarm := time.AfterFunc(silence, func() { cancel(errSilent) })
	defer alarm.Stop()
	client := s.client.Load()
	var who admin.Info
	if err := client.Get(ctx, "/v1/info", &who); err != nil {
		return caused(ctx, err)
	}
	response, err := client.Send(ctx, http.MethodGet, "/v1/events", nil, nil)
	if err != nil {
		return caused(ctx, err)
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return admin.Refused(response)
	}
	in := bufio.NewScanner(response.Body)
	in.Buffer(nil, longestEvent)
	var kind string
	known := map[string]bool{}
	for in.Scan() {
		alarm.Reset(silence)
		if name, is := bytes.CutPrefix(in.Bytes(), []byte("event: ")); is {
			kind = string(name)
		}
		data, is := bytes.CutPrefix(in.Bytes(), []byte("data: "))
		if !is {
			continue
		}
		m, err := s.decode(ctx, client, who, kind, data)
		if err != nil {
			return err
		}
		send(m)
		if !complete(known, m) {
			return errMore
		}
	}
	if in.Err() == nil {
		return errEnded
	}
	return caused(ctx, in.Err())
}

// complete reports whether m has no rows that are not known, and notes those of a full event.
// Where there are very many rows, each may come at any time, and has no history.
func complete(known map[string]bool, m any) bool {
	switch m := m.(type) {
	case began:
		for i := range m.full.Rows {
			known[m.full.Rows[i].Name] = true
		}
	case changed:
		for i := range m.change.Rows {
			if !known[m.change.Rows[i].Name] && len(known) > 0 && len(known) <= mostBefore {
				return false
			}
		}
	}
	return true
}

// decode returns the message that an event is.
func (s *stack) decode(ctx context.Context, client *admin.Client, who admin.Info, kind string, data []byte) (any, error) {
	if kind != "full" {
		m := changed{at: time.Now()}
		if err := json.Unmarshal(data, &m.change); err != nil {
			return nil, fmt.Errorf("read an event of watchdogd: %w", err)
		}
		return m, nil
	}
	m := began{at: time.Now(), who: who}
	if err := json.Unmarshal(data, &m.full); err != nil {
		return nil, fmt.Errorf("read an event of watchdogd: %w", err)
	}
	m.before.Step = history.Step.Seconds()
	if len(m.full.Rows) <= mostBefore {
		var before history.History
		if client.Get(ctx, fmt.Sprintf("/v1/history?last=%d", points-1), &before) == nil && before.Step > 0 { // else there are no trends yet
			m.before = before
		}
	}
	return m, nil
}

// caused is err, or what ended ctx.
func caused(ctx context.Context, err error) error {
	switch cause := context.Cause(ctx); {
	case cause != nil:
		return cause
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, syscall.ECONNREFUSED):
		return errNone
	}
	return err
}
