package main

import (
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strings"

	"github.com/spf13/cobra"
)

func callCommand(from *source) *cobra.Command {
	var method, data string
	var headers []string
	var showHead bool
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
	cmd.Flags().StringVarP(&method, "request", "X", "", "the `method` (default GET, or POST with -d)")
	cmd.Flags().StringVarP(&data, "data", "d", "", "the body; @FILE reads a file and @- the standard `input`")
	cmd.Flags().StringArrayVarP(&headers, "header", "H", nil, "a `header` line, as in 'Accept: text/csv'")
	cmd.Flags().BoolVarP(&showHead, "include", "i", false, "print the status and headers too")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		header, err := callHeader(headers)
		if err != nil {
			return exitStatus{statusUsage, err}
		}
		body, err := callBody(data, cmd.Flags().Changed("data"), cmd.InOrStdin())
		if err != nil {
			return failed(err)
		}
		if method == "" {
			method = http.MethodGet
			if body != nil {
				method = http.MethodPost
			}
		}
		path := ""
		if len(args) > 1 {
			path = "/" + strings.TrimPrefix(args[1], "/")
		}
		running, err := stack(from, cmd.ErrOrStderr())
		if err != nil {
			return err
		}
		response, err := running.send(cmd.Context(), method, "/v1/call/"+url.PathEscape(args[0])+path, header, body)
		if err != nil {
			return failed(fmt.Errorf("call %s: %w", args[0], err))
		}
		defer response.Body.Close()
		if showHead {
			fmt.Fprintf(cmd.OutOrStdout(), "%s %s\n", response.Proto, response.Status)
			_ = response.Header.Write(cmd.OutOrStdout()) // the body's copy below meets the same error
			fmt.Fprintln(cmd.OutOrStdout())
		}
		if _, err := io.Copy(cmd.OutOrStdout(), response.Body); err != nil {
			return failed(fmt.Errorf("call %s: the response was cut short: %w", args[0], err))
		}
		if response.StatusCode >= http.StatusBadRequest {
			return exitStatus{statusFailed, fmt.Errorf("call %s: %s", args[0], response.Status)}
		}
		return nil
	}
	return cmd
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
