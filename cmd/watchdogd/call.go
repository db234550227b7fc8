package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"os"
	"os/signal"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/watchdogd/watchdogd/cmd/watchdogd/internal/admin"
	"github.com/watchdogd/watchdogd/cmd/watchdogd/internal/exit"
	"github.com/watchdogd/watchdogd/cmd/watchdogd/internal/private"
	"github.com/watchdogd/watchdogd/cmd/watchdogd/internal/source"
)

func callCommand(from *source.Source) *cobra.Command {
	var c call
	cmd := &cobra.Command{
		Use:   "call NAME [PATH]",
		Short: "Send one request to a route by its name",
		Long: `Call sends one request to a route of the running watchdogd and prints the response. If none
runs, it starts the route and what it depends on for this call, and ends them again. The host,
prefix and headers that the route matches on do not matter. PATH is the part after the prefix.
With -v the heads of request and response, the times and the instance are printed to stderr.
The exit status is 0 if the response is below 400, and 1 otherwise.`,
		Example: `  watchdogd call upper -d 'hello'
  watchdogd call api /users?page=2 -H 'Accept: text/csv'
  watchdogd call -v resize -d @photo.jpg > small.jpg`,
		Args: cobra.RangeArgs(1, 2),
	}
	cmd.Flags().StringVarP(&c.method, "request", "X", "", "the `method` (default GET, or POST with -d)")
	cmd.Flags().StringVarP(&c.data, "data", "d", "", "the body; @FILE reads a file and @- the standard `input`")
	cmd.Flags().StringArrayVarP(&c.headers, "header", "H", nil, "a `header` line, as in 'Accept: text/csv'")
	cmd.Flags().BoolVarP(&c.showHead, "include", "i", false, "print the status and headers too")
	cmd.Flags().BoolVarP(&c.verbose, "verbose", "v", false, "print heads, times and the instance to stderr")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		header, err := callHeader(c.headers)
		if err != nil {
			return exit.Misuse(err)
		}
		body, err := callBody(c.data, cmd.Flags().Changed("data"), cmd.InOrStdin())
		if err != nil {
			return exit.Fail(err)
		}
		if c.method == "" && body != nil {
			c.method = http.MethodPost
		}
		c.out, c.err, c.name = cmd.OutOrStdout(), cmd.ErrOrStderr(), args[0]
		if len(args) > 1 {
			c.path = "/" + strings.TrimPrefix(args[1], "/")
		}
		ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
		defer stop()
		err = c.run(ctx, from, header, body)
		if ctx.Err() != nil {
			return exit.Error{Status: interrupted, Err: fmt.Errorf("call %s: interrupted before the response was complete", c.name)}
		}
		return err
	}
	return cmd
}

// interrupted is the exit status of a command that was ended by Ctrl-C, as a shell has it.
const interrupted = 130

// call is the flags and arguments of the command.
type call struct {
	method, data      string
	headers           []string
	showHead, verbose bool

	name, path string
	out, err   io.Writer
}

// run sends the request to the running stack, or to one that is started for it.
func (c *call) run(ctx context.Context, from *source.Source, header http.Header, body io.Reader) error {
	stack, err := admin.Find(from, c.err)
	if errors.Is(err, admin.ErrNone) {
		own, startErr := c.start(ctx, from)
		if startErr != nil {
			return startErr
		}
		defer func() {
			if err := own.Stop(); err != nil && ctx.Err() == nil {
				fmt.Fprintf(c.err, "watchdogd: %v\n", err)
			}
		}()
		stack, err = admin.At(own.AdminSocket()), nil
	}
	if err != nil {
		return exit.Fail(err)
	}
	if err := c.send(ctx, stack, header, body); err != nil {
		return exit.Fail(fmt.Errorf("call %s: %w", c.name, err))
	}
	return nil
}

// start starts a watchdogd for this call, with only the route and what it depends on.
func (c *call) start(ctx context.Context, from *source.Source) (*private.Watchdogd, error) {
	cfg, _, err := from.Load()
	if err != nil {
		return nil, exit.Fail(err)
	}
	var names []string
	for i := range cfg.Routes {
		names = append(names, cfg.Routes[i].Name)
	}
	if !slices.Contains(names, c.name) {
		return nil, exit.Fail(fmt.Errorf("call %s: no route is called that; %s has %s", c.name, source.Origin(cfg), strings.Join(names, ", ")))
	}
	fmt.Fprintf(c.err, "watchdogd: no watchdogd serves %s; starting %s for this call\n", source.Origin(cfg), c.name)
	args := []string{"--env"}
	if cfg.File != "" {
		args = []string{"-c", cfg.File}
	}
	own, err := private.Start(ctx, append(args, "--only", c.name), nil)
	if err != nil {
		return nil, exit.Fail(fmt.Errorf("call %s: %w", c.name, err))
	}
	return own, nil
}

// send sends the request and prints the response.
func (c *call) send(ctx context.Context, stack admin.Client, header http.Header, body io.Reader) error {
	if c.verbose {
		fmt.Fprintf(c.err, "> %s %s\n", or(c.method, http.MethodGet), or(c.path, "/"))
		printHeader(c.err, "> ", header)
		header.Set(admin.Observe, "1")
	}
	began := time.Now()
	response, err := stack.Send(ctx, c.method, "/v1/call/"+url.PathEscape(c.name)+c.path, header, body)
	if err != nil {
		return err
	}
	first := time.Since(began)
	times := timesOf(response.Header)
	err = c.print(response)
	if c.verbose {
		fmt.Fprintf(c.err, "* %sfirst byte %s, total %s\n", times, brief(first), brief(time.Since(began)))
	}
	return err
}

// timesOf takes what watchdogd says of the call out of the head of its response.
func timesOf(h http.Header) string {
	var said []string
	for _, part := range []struct{ header, name string }{{admin.Queued, "queue"}, {admin.Waited, "start"}} {
		if seconds, err := strconv.ParseFloat(h.Get(part.header), 64); err == nil {
			said = append(said, part.name+" "+brief(time.Duration(seconds*float64(time.Second))))
		}
		h.Del(part.header)
	}
	if instance := h.Get(admin.Instance); instance != "" {
		said = append([]string{"instance " + instance}, said...)
	}
	h.Del(admin.Instance)
	if len(said) == 0 {
		return ""
	}
	return strings.Join(said, ", ") + ", "
}

// brief is a duration as coarse as a person wants it: 312µs, 1.5ms, 2.31s.
func brief(d time.Duration) string {
	switch {
	case d < time.Millisecond:
		return d.Round(time.Microsecond).String()
	case d < time.Second:
		return d.Round(100 * time.Microsecond).String()
	}
	return d.Round(10 * time.Millisecond).String()
}

// printHeader prints the fields of a header in the order of their names.
func printHeader(w io.Writer, before string, h http.Header) {
	for _, name := range slices.Sorted(maps.Keys(h)) {
		for _, value := range h[name] {
			fmt.Fprintf(w, "%s%s: %s\n", before, name, value)
		}
	}
}

// print prints a response and closes it. One that is not below 400 is an error.
func (c *call) print(response *http.Response) error {
	defer response.Body.Close()
	if c.verbose {
		fmt.Fprintf(c.err, "< %s %s\n", response.Proto, response.Status)
		printHeader(c.err, "< ", response.Header)
	}
	if c.showHead {
		fmt.Fprintf(c.out, "%s %s\n", response.Proto, response.Status)
		_ = response.Header.Write(c.out) // the body's copy below meets the same error
		fmt.Fprintln(c.out)
	}
	if _, err := io.Copy(c.out, response.Body); err != nil {
		return fmt.Errorf("the response was cut short: %w", err)
	}
	if response.StatusCode >= http.StatusBadRequest {
		return errors.New(response.Status)
	}
	return nil
}

// callHeader is the header that the lines of -H make.
func callHeader(lines []string) (http.Header, error) {
	header := http.Header{}
	for _, line := range lines {
		name, value, ok := strings.Cut(line, ":")
		if !ok {
			return nil, fmt.Errorf("header %q: write NAME: VALUE", line)
		}
		header.Add(strings.TrimSpace(name), strings.TrimSpace(value))
	}
	return header, nil
}

// callBody is the body that -d names; nil without -d.
func callBody(data string, given bool, stdin io.Reader) (io.Reader, error) {
	file, isFile := strings.CutPrefix(data, "@")
	switch {
	case !given:
		return nil, nil
	case !isFile:
		return strings.NewReader(data), nil
	case file == "-":
		return stdin, nil
	}
	f, err := os.Open(file) // of any size, and a pipe too: it is sent as it is read
	if err != nil {
		return nil, fmt.Errorf("read the body: %w", err)
	}
	if info, err := f.Stat(); err == nil && info.IsDir() {
		_ = f.Close() // nothing was read
		return nil, fmt.Errorf("read the body: %s: it is a directory, not a file", file)
	}
	return f, nil
}
