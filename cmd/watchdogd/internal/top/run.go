package top

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	tea "charm.land/bubbletea/v2"
	"github.com/charmbracelet/x/term"

	"github.com/watchdogd/watchdogd/cmd/watchdogd/internal/admin"
	"github.com/watchdogd/watchdogd/supervisor"
)

// Options are what Run needs beside the running watchdogd.
type Options struct {
	In, Out *os.File // the terminal
	Colour  bool
	At      string // the address of the admin API, if that was asked for by it
	// Find looks for the watchdogd again, after it was restarted.
	Find func() (admin.Client, error)
	// Why writes an explanation for a person.
	Why func(io.Writer, supervisor.Explanation) error
}

const (
	askPatience = 5 * time.Second // for an answer about what is
	lastWrites  = 2 * time.Second // for a terminal that takes no output
)

// ErrStuck is the error of Run on a terminal that takes no output. Nothing can be printed there.
var ErrStuck = errors.New("the terminal takes no output")

// Run shows the watchdogd that client reaches, until the user leaves, ctx ends or the terminal
// is gone.
func Run(ctx context.Context, client admin.Client, opt Options) error {
	ctx, stop := signal.NotifyContext(ctx, os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	defer stop()
	working, cancel := context.WithCancel(ctx)
	var all sync.WaitGroup
	defer all.Wait()
	defer cancel()

	s := &stack{find: opt.Find}
	s.client.Store(&client)
	p := &program{ctx: working, stack: s, why: opt.Why, screen: &Screen{Colour: opt.Colour, At: opt.At}, follow: make(chan Follow, 1)}
	living, kill := context.WithCancel(context.Background()) // while messages are taken
	defer kill()
	options := []tea.ProgramOption{tea.WithContext(living), tea.WithInput(opt.In), tea.WithOutput(opt.Out), tea.WithoutSignalHandler(), tea.WithFPS(20)}
	t := tea.NewProgram(p, options...)
	defer context.AfterFunc(ctx, t.Quit)()
	all.Go(func() { s.watch(working, func(m any) { t.Send(m) }) })
	all.Go(func() { follow(working, s, p.follow, func(m any) { t.Send(m) }) })

	before, _ := term.GetState(opt.In.Fd()) // it is a terminal
	done := make(chan error, 1)
	go func() {
		_, err := t.Run()
		done <- err
	}()
	var err error
	select {
	case err = <-done:
	case <-ctx.Done():
		timer := time.NewTimer(lastWrites)
		defer timer.Stop()
		select {
		case err = <-done:
		case <-timer.C: // its writes do not return; they end with the process
			kill()
			_ = term.Restore(opt.In.Fd(), before)
			err = ErrStuck
		}
	}
	if err != nil {
		return fmt.Errorf("top: %w", err)
	}
	return nil
}

// stack is the watchdogd that is observed.
type stack struct {
	client atomic.Pointer[admin.Client]
	find   func() (admin.Client, error)
}

// get asks for what is, within askPatience.
func (s *stack) get(ctx context.Context, path string, value any) error {
	ctx, cancel := context.WithTimeout(ctx, askPatience)
	defer cancel()
	err := s.client.Load().Get(ctx, path, value)
	if errors.Is(err, context.DeadlineExceeded) {
		return fmt.Errorf("watchdogd does not answer within %v", askPatience)
	}
	return err
}

// do does what was asked for, which takes as long as it takes: a restart waits for calls.
func (s *stack) do(ctx context.Context, ask Ask) (now supervisor.Status, err error) {
	path := "/v1/" + string(ask.Verb) + "/" + url.PathEscape(ask.Name)
	if ask.Verb == Scale {
		path += "/" + strconv.Itoa(ask.Replicas)
	}
	if err = s.client.Load().Do(ctx, http.MethodPost, path, &now); err != nil && !strings.HasPrefix(err.Error(), string(ask.Verb)) {
		err = fmt.Errorf("%s: %w", ask, err)
	}
	return now, err
}

// program is a Screen as bubbletea runs one.
type program struct {
	ctx    context.Context // of what the keys ask for
	stack  *stack
	why    func(io.Writer, supervisor.Explanation) error
	screen *Screen
	follow chan Follow // holds the latest
	shown  Follow      // what was sent to it last
}

// done is what came of an Ask.
type done struct {
	ask  Ask
	now  supervisor.Status
	text string
	err  error
}

func (p *program) Init() tea.Cmd { return nil }

func (p *program) View() tea.View {
	return tea.View{Content: p.screen.String(), AltScreen: true, MouseMode: tea.MouseModeCellMotion}
}

func (p *program) Update(m tea.Msg) (tea.Model, tea.Cmd) {
	s := p.screen
	var next tea.Cmd
	switch m := m.(type) {
	case tea.WindowSizeMsg:
		s.Resize(m.Width, m.Height)
	case tea.KeyPressMsg:
		next = p.command(s.Press(m.String(), m.Text))
	case tea.PasteMsg:
		s.Type(m.Content)
	case tea.MouseClickMsg:
		if m.Button == tea.MouseLeft {
			s.Click(m.X, m.Y)
		}
	case tea.MouseWheelMsg:
		s.Wheel(m.Y, map[tea.MouseButton]int{tea.MouseWheelUp: 1, tea.MouseWheelDown: -1}[m.Button])
	case began:
		s.Begin(m.at, m.who, m.full, m.before)
	case changed:
		s.Change(m.at, m.change)
	case lost:
		s.Lose(m.at, m.err.Error())
	case printed:
		s.Print(m.of, m.lines)
	case done:
		s.Tick(time.Now())
		switch {
		case m.err != nil || m.ask.Verb != Why:
			s.Done(m.ask, m.now, m.err)
		default:
			s.Explain(m.text)
		}
	}
	if of := s.Following(); of != p.shown {
		p.shown = of
		select {
		case <-p.follow: // one that was not taken up yet
		default:
		}
		p.follow <- of
	}
	return p, next
}

// command is what an Ask takes. bubbletea runs it beside the loop.
func (p *program) command(ask Ask) tea.Cmd {
	switch ask.Verb {
	case Nothing:
		return nil
	case Quit:
		return tea.Quit
	case Suspend:
		return tea.Suspend
	case Why:
		return func() tea.Msg {
			var e supervisor.Explanation
			var text strings.Builder
			err := p.stack.get(p.ctx, "/v1/why/"+url.PathEscape(ask.Name), &e)
			if err == nil {
				err = p.why(&text, e)
			}
			return done{ask: ask, text: text.String(), err: err}
		}
	}
	return func() tea.Msg {
		now, err := p.stack.do(p.ctx, ask)
		return done{ask: ask, now: now, err: err}
	}
}
