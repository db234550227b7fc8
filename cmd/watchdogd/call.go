package main

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/watchdogd/watchdogd/cmd/watchdogd/internal/admin"
	"github.com/watchdogd/watchdogd/cmd/watchdogd/internal/exit"
	"github.com/watchdogd/watchdogd/cmd/watchdogd/internal/source"
)

func callCommand(from *source.Source) *cobra.Command {
	var c call
	cmd := &cobra.Command{
		Use:   "call NAME [PATH]",
		Short: "Send one request to a route by its name",
		Long: `Call sends one request to a route of the running watchdogd and prints the response. The
host, prefix and headers that the route matches on do not matter. PATH is the part after
the prefix. The exit status is 0 if the response is below 400, and 1 otherwise.`,
		Example: `  watchdogd call upper -d 'hello'
  watchdogd call api /users?page=2 -H 'Accept: text/csv'
  watchdogd call resize -d @photo.jpg > small.jpg`,
		Args: cobra.RangeArgs(1, 2),
	}
	cmd.Flags().StringVarP(&c.method, "request", "X", "", "the `method` (default GET, or POST with -d)")
	cmd.Flags().StringVarP(&c.data, "data", "d", "", "the body; @FILE reads a file and @- the standard `input`")
	cmd.Flags().StringArrayVarP(&c.headers, "header", "H", nil, "a `header` line, as in 'Accept: text/csv'")
	cmd.Flags().BoolVarP(&c.showHead, "include", "i", false, "print the status and headers too")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		header, err := callHeader(c.headers)
		if err != nil {
			return exit.Misuse(err)
		}
		body, err := callBody(c.data, cmd.Flags().Changed("data"), cmd.InOrStdin())
		if err != nil {
			return exit.Fail(err)
		}
		running, err := admin.Find(from, cmd.ErrOrStderr())
		if err != nil {
			return exit.Fail(err)
		}
		path := url.PathEscape(args[0])
		if len(args) > 1 {
			path += "/" + strings.TrimPrefix(args[1], "/")
		}
		method := c.method
		if method == "" && body != nil {
			method = http.MethodPost
		}
		response, err := running.Send(cmd.Context(), method, "/v1/call/"+path, header, body)
		if err == nil {
			err = c.print(cmd.OutOrStdout(), response)
		}
		if err != nil {
			return exit.Fail(fmt.Errorf("call %s: %w", args[0], err))
		}
		return nil
	}
	return cmd
}

// call is the flags of the command.
type call struct {
	method, data string
	headers      []string
	showHead     bool
}

// print prints a response and closes it. One that is not below 400 is an error.
func (c call) print(w io.Writer, response *http.Response) error {
	defer response.Body.Close()
	if c.showHead {
		fmt.Fprintf(w, "%s %s\n", response.Proto, response.Status)
		_ = response.Header.Write(w) // the body's copy below meets the same error
		fmt.Fprintln(w)
	}
	if _, err := io.Copy(w, response.Body); err != nil {
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
