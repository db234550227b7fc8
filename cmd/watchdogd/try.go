package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/watchdogd/watchdogd/cmd/watchdogd/internal/admin"
	"github.com/watchdogd/watchdogd/cmd/watchdogd/internal/draft"
	"github.com/watchdogd/watchdogd/cmd/watchdogd/internal/exit"
	"github.com/watchdogd/watchdogd/cmd/watchdogd/internal/listing"
	"github.com/watchdogd/watchdogd/cmd/watchdogd/internal/source"
	"github.com/watchdogd/watchdogd/cmd/watchdogd/internal/terminal"
	"github.com/watchdogd/watchdogd/cmd/watchdogd/internal/trial"
	"github.com/watchdogd/watchdogd/internal/listen"
	"github.com/watchdogd/watchdogd/schema"
)

func tryCommand(from *source.Source) *cobra.Command {
	t := &try{listen: "127.0.0.1:8080"}
	cmd := &cobra.Command{
		Use:   "try [flags] '/PATH=[MODE:]COMMAND'... | COMMAND [ARGUMENT...]",
		Short: "Serve a command without a file",
		Long: `Try serves commands, folders and addresses without a file, until Ctrl-C, and prints how each
is called. Behind a path stand a command, which is run for each request; http: and the command
of a server, which finds its port in $PORT; static: and a folder; another mode and a command; or
the URL of a server.

Without a path each of these is served on /. A command without a mode is started once to see what it is: one that
listens is kept running, in mode http; one that ends is run for each request, in mode
streaming. --mode chooses instead. --write saves all of it as watchdog.yaml.`,
		Example: `  watchdogd try 'tr a-z A-Z'
  watchdogd try node server.js
  watchdogd try '/upper=tr a-z A-Z' '/=static:./public' '/app=http:python3 -m http.server $PORT'
  watchdogd try -p 9000 --write '/api=http://127.0.0.1:3000'`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) == 0 || strings.TrimSpace(args[0]) == "" {
				return errors.New("try needs a command, as in watchdogd try 'tr a-z A-Z'")
			}
			return nil
		},
	}
	cmd.Flags().SetInterspersed(false) // the flags of a command are its own
	cmd.Flags().IntVarP(&t.port, "port", "p", 0, "listen on this `port` of 127.0.0.1 (default 8080)")
	cmd.Flags().StringVar(&t.listen, "listen", t.listen, "listen on this `address`, as in :8080 for all of this machine")
	cmd.Flags().StringVar(&t.mode, "mode", "", "the mode of a command without a path: "+strings.Join(schema.Modes(), ", "))
	cmd.Flags().BoolVar(&t.write, "write", false, "save it as watchdog.yaml, which must not exist, and serve that")
	cmd.MarkFlagsMutuallyExclusive("port", "listen")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if trial.Spec(args[0]) { // what follows cannot be the arguments of a command
			cmd.Flags().SetInterspersed(true)
			if err := cmd.Flags().Parse(args); err != nil {
				return exit.Misuse(fmt.Errorf("try: %w", err))
			}
			args = cmd.Flags().Args()
		}
		t.out = cmd.OutOrStdout()
		return t.run(cmd.Context(), from, args, cmd.Flags().Changed("port"))
	}
	return cmd
}

// try is the flags of the command.
type try struct {
	port   int
	listen string
	mode   string
	write  bool
	out    io.Writer
}

func (t *try) run(ctx context.Context, from *source.Source, args []string, onPort bool) error {
	if from.File != "" || from.Env {
		return exit.Misuse(errors.New("try reads no configuration; leave out -c and --env, or use watchdogd run"))
	}
	if onPort {
		t.listen = net.JoinHostPort("127.0.0.1", strconv.Itoa(t.port))
		if t.port < 0 || t.port > 65535 {
			return exit.Misuse(fmt.Errorf("try: -p %d is not a port, which is a number up to 65535", t.port))
		}
	}
	if t.mode != "" && !slices.Contains(schema.Modes(), t.mode) {
		return exit.Misuse(fmt.Errorf("try --mode %s: there is no such mode; use %s", t.mode, strings.Join(schema.Modes(), ", ")))
	}
	file, err := filepath.Abs(source.DefaultFile)
	if err != nil {
		return exit.Fail(fmt.Errorf("try: this folder cannot be read; change to another: %w", err))
	}
	if _, err := os.Lstat(file); err == nil && t.write {
		return exit.Fail(fmt.Errorf("try --write: %s exists already and is not overwritten; move it, or leave out --write", source.DefaultFile))
	}
	if l, err := listen.Open(t.listen); err != nil {
		return exit.Fail(fmt.Errorf("try: %w (-p PORT)", err))
	} else if err := l.Close(); err != nil {
		return exit.Fail(fmt.Errorf("try: %w", err))
	}
	routes, err := t.routes(ctx, file, args)
	if errors.Is(err, context.Canceled) {
		return exit.Error{Status: interrupted, Err: errors.New("try: stopped before anything was served")}
	}
	if err != nil {
		return err
	}
	text := t.text(routes)
	from.File, from.Draft = file, text
	cfg, _, err := from.Load()
	if err != nil {
		return exit.Fail(t.drafted(routes, err))
	}
	from.Change = aside(cfg)
	if t.write {
		if err := wouldRun(cfg); err != nil {
			return exit.Fail(err)
		}
		if err := draft.Save(file, text); err != nil {
			return exit.Fail(fmt.Errorf("try --write: %w", err))
		}
		from.Draft = nil
		fmt.Fprintf(t.out, "Saved as %s; from now on, watchdogd alone serves it.\n", source.DefaultFile)
	}
	return serveWith(ctx, from, greeting{print: func(open []string) { t.greet(cfg, open) }})
}

// routes are what the arguments ask for; a bare command is started once to see what it is.
func (t *try) routes(ctx context.Context, file string, args []string) ([]*trial.Route, error) {
	if trial.Spec(args[0]) {
		if t.mode != "" {
			return nil, exit.Misuse(errors.New("try --mode is for a command without a path; write the mode behind the =, as in '/app=http:COMMAND'"))
		}
		routes, err := trial.Parse(args)
		if err != nil {
			return nil, exit.Misuse(fmt.Errorf("try: %w", err))
		}
		return routes, nil
	}
	if i := slices.IndexFunc(args[1:], trial.Spec); i >= 0 && strings.Contains(args[0], " ") {
		return nil, exit.Misuse(fmt.Errorf("try: %s: write a path before each command, as in '/first=%s'", args[0], args[0]))
	}
	r, err := trial.Bare(args)
	if err != nil {
		return nil, exit.Misuse(fmt.Errorf("try: %w", err))
	}
	if t.mode != "" {
		r = trial.Command(args)
		r.Mode, r.Why = schema.Mode(t.mode), ""
		return []*trial.Route{r}, nil
	}
	if r.Mode != "" {
		return []*trial.Route{r}, t.chose(r)
	}
	cfg, err := schema.Parse(file, t.text([]*trial.Route{r}), os.LookupEnv)
	if err != nil {
		return nil, exit.Fail(t.drafted([]*trial.Route{r}, err))
	}
	if _, err := os.Stat(args[0]); len(args) == 1 && errors.Is(err, fs.ErrNotExist) && strings.HasPrefix(args[0], "/") && !strings.Contains(args[0], " ") {
		return nil, exit.Misuse(fmt.Errorf("try: there is no program %s; to serve a command on that path, write '%s=COMMAND'", args[0], args[0]))
	}
	ctx, stop := signal.NotifyContext(ctx, os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	defer stop()
	found, err := trial.Watch(ctx, &cfg.Routes[0].Process, func() {
		fmt.Fprintf(t.out, "Waiting until %s listens or ends ...\n", r.Target)
	})
	if ctx.Err() != nil {
		return nil, context.Canceled
	}
	if _, failed := errors.AsType[*trial.Failed](err); failed {
		return nil, exit.Fail(fmt.Errorf("try %s: %w; mend it, or serve it as it is with --mode streaming", r.Target, err))
	}
	if err != nil {
		return nil, exit.Fail(fmt.Errorf("try: %w", err))
	}
	r.Use(found)
	return []*trial.Route{r}, t.chose(r)
}

// drafted is err as it is said to someone who has not seen the file that try makes: the mistakes
// of each route stand behind what was written for it.
func (t *try) drafted(routes []*trial.Route, err error) error {
	problems, ok := errors.AsType[schema.Problems](err)
	if !ok {
		return fmt.Errorf("try: %w", err)
	}
	var all []string
	for _, p := range problems {
		text := p.Message
		if p.Hint != "" {
			text += "; " + p.Hint
		}
		for i, r := range routes {
			if strings.HasPrefix(p.Path, fmt.Sprintf("routes[%d]", i)) {
				text = r.Target + ": " + text
			}
		}
		all = append(all, "try: "+text)
	}
	return errors.New(strings.Join(all, "\nwatchdogd: "))
}

// aside returns what gives a stack without a file another name where one runs in this folder: two
// of one name would have the same admin socket. It is nil where none runs.
func aside(cfg *schema.Config) func(*schema.Config) {
	if _, err := admin.FindFor(cfg, io.Discard); err != nil {
		return nil
	}
	_, port, _ := net.SplitHostPort(cfg.Server.Listen[0]) // a socket has none, and its name is the other one's then
	return func(cfg *schema.Config) { cfg.Name = schema.NameOf("port-" + port + "-" + cfg.Name) }
}

// chose prints which mode was chosen, and why.
func (t *try) chose(r *trial.Route) error {
	how := map[schema.Mode]string{
		schema.HTTP:      "is kept running as a server (mode http)",
		schema.Streaming: "is run for each request (mode streaming)",
		schema.Static:    "is served as files (mode static)",
	}[r.Mode]
	if r.Why == "" || how == "" || strings.HasPrefix(r.Why, "it is an address") {
		return nil // it was written so
	}
	_, err := fmt.Fprintf(t.out, "%s %s: %s.\n", r.Target, how, r.Why)
	return exit.Fail(err)
}

// text is the routes as a file.
func (t *try) text(routes []*trial.Route) []byte {
	f := &draft.File{Head: []string{"Written by watchdogd try. docs/configuration.md explains every key."}, Server: &draft.Item{}}
	f.Server.Set("listen", t.listen)
	for _, r := range routes {
		r.Write(f)
	}
	return f.Bytes()
}

// greet prints how each route is called: a table, or where that is too wide for the
// terminal, lines.
func (t *try) greet(cfg *schema.Config, open []string) {
	screen := terminal.Plain
	if f := terminal.Of(t.out); f != nil {
		screen = terminal.ScreenOf(f)
		screen.Colour = false // which the writer would show as text
	}
	rows := [][]string{{"URL", "MODE", "TRY IT"}}
	widest := 0
	for i := range cfg.Routes {
		r := &cfg.Routes[i]
		url, how := listing.URL(cfg, open, r), ""
		if r.Mode.Traits().Forks {
			how = "-d hello "
		}
		rows = append(rows, []string{url, string(r.Mode), "curl " + how + listing.Curl(cfg, open, r)})
		widest = max(widest, len(url))
	}
	var b bytes.Buffer
	fmt.Fprintln(&b, "\nCall it from another terminal; Ctrl-C here stops it.")
	if width := screen.Width(); width == 0 || 2*widest+len("  serializing  curl -d hello ") <= width {
		b.WriteByte('\n')
		_ = terminal.Table(&b, screen, rows, nil) // memory takes all
	} else {
		for _, row := range rows[1:] {
			fmt.Fprintf(&b, "\n%s (%s)\n%s\n", row[0], row[1], row[2])
		}
	}
	b.WriteByte('\n')
	_, _ = t.out.Write(b.Bytes()) // who cannot be shown it is served all the same
	terminal.Flush(t.out)
}
