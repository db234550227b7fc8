package main

import (
	"context"
	"errors"
	"fmt"
	"html"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/watchdogd/watchdogd/cmd/watchdogd/internal/admin"
	"github.com/watchdogd/watchdogd/cmd/watchdogd/internal/exit"
	"github.com/watchdogd/watchdogd/cmd/watchdogd/internal/page"
	"github.com/watchdogd/watchdogd/cmd/watchdogd/internal/source"
)

func uiCommand(from *source.Source) *cobra.Command {
	var printOnly bool
	var listen string
	cmd := &cobra.Command{
		Use:   "ui",
		Short: "Open the page of the running watchdogd in a browser",
		Long: `Ui serves the page of the running watchdogd on a port of this machine until Ctrl-C, and opens it
in a browser. The page shows every route and service with its state, charts of the last hour
and logs, and restarts, stops, starts and scales.

The URL opens it once, for one browser. Over ssh, give a port and forward it.`,
		Example: `  watchdogd ui                                   open the page
  watchdogd ui --print --listen 127.0.0.1:9100   print its URL only, on a port to forward: ssh -L 9100:127.0.0.1:9100 HOST`,
		Args: cobra.NoArgs,
	}
	cmd.Flags().BoolVar(&printOnly, "print", false, "print the URL and open no browser")
	cmd.Flags().StringVar(&listen, "listen", "127.0.0.1:0", "the loopback `address` that it is served on; port 0 is any free one")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if host, _, err := net.SplitHostPort(listen); err != nil || !net.ParseIP(host).IsLoopback() {
			return exit.Misuse(fmt.Errorf("ui: --listen %s: want a loopback address with a port, such as 127.0.0.1:9100", listen))
		}
		running, err := admin.Find(from, cmd.ErrOrStderr())
		if err != nil {
			return exit.Fail(err)
		}
		l, err := net.Listen("tcp", listen)
		if err != nil {
			return exit.Fail(fmt.Errorf("ui: %w", err))
		}
		ctx, stop := signal.NotifyContext(cmd.Context(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
		defer stop()
		door := page.NewDoor(l.Addr().String(), running.Relay(log.New(cmd.ErrOrStderr(), "watchdogd: ui: ", 0)))
		fmt.Fprintf(cmd.OutOrStdout(), "%s\n", door.URL())
		fmt.Fprintln(cmd.ErrOrStderr(), "The URL opens the page once, in one browser. Ctrl-C ends it.")
		if !printOnly {
			file, err := openInBrowser(door.URL())
			defer func() { _ = os.RemoveAll(filepath.Dir(file)) }()
			if err != nil {
				fmt.Fprintf(cmd.ErrOrStderr(), "watchdogd: ui: no browser was opened: %v\n", err)
			}
		}
		return exit.Fail(servePage(ctx, l, door))
	}
	return cmd
}

// servePage serves until ctx ends.
func servePage(ctx context.Context, l net.Listener, handler http.Handler) error {
	server := &http.Server{Handler: handler, ReadHeaderTimeout: 5 * time.Second, ErrorLog: log.New(io.Discard, "", 0)}
	ended := make(chan error, 1)
	go func() { ended <- server.Serve(l) }()
	select {
	case <-ctx.Done():
		_ = server.Close() // what is open shows a page that can be opened again
		<-ended
		return nil
	case err := <-ended:
		return fmt.Errorf("ui: %w", err)
	}
}

// openInBrowser opens a URL that is a secret. Every user of the machine can see the arguments
// of a program, so the browser is given a file of this user's alone that leads there. The
// caller removes its folder.
func openInBrowser(url string) (file string, err error) {
	words, err := browserCommand()
	if err != nil {
		return "", err
	}
	dir, err := os.MkdirTemp("", "watchdogd-ui-") // of mode 0700
	if err != nil {
		return "", err
	}
	file = filepath.Join(dir, "open.html")
	text := `<!doctype html><meta charset="utf-8"><title>watchdogd</title><meta http-equiv="refresh" content="0; url=` + html.EscapeString(url) + `">`
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		return file, err
	}
	opening := exec.Command(words[0], append(words[1:], file)...)
	if err := opening.Start(); err != nil {
		return file, err
	}
	go func() { _ = opening.Wait() }() // it may be the browser itself, which outlives this program
	return file, nil
}

// browserCommand is what opens a file in a browser, if there is one to be seen.
func browserCommand() ([]string, error) {
	if words := strings.Fields(os.Getenv("BROWSER")); len(words) > 0 {
		return words, nil
	}
	if runtime.GOOS == "darwin" {
		return []string{"open"}, nil
	}
	if os.Getenv("DISPLAY") == "" && os.Getenv("WAYLAND_DISPLAY") == "" {
		return nil, errors.New("this session has no display; open the URL in a browser of this machine, or set BROWSER")
	}
	return []string{"xdg-open"}, nil
}
