package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/spf13/cobra"
)

func healthcheckCommand(from *source) *cobra.Command {
	var ready bool
	timeout := 3 * time.Second
	cmd := &cobra.Command{
		Use:   "healthcheck [NAME]",
		Short: "Check the health of the running watchdogd",
		Long: `Healthcheck requests /_/health from the watchdogd that serves the same file, at its first
address. It is meant for a container's HEALTHCHECK. With --ready it requests /_/ready, and
with a NAME /_/ready/NAME. The exit status is 0 if the check succeeds, and 1 otherwise.`,
		Args: cobra.MaximumNArgs(1),
	}
	cmd.Flags().BoolVar(&ready, "ready", false, "check readiness instead of health")
	cmd.Flags().Var(durationFlag{&timeout}, "timeout", "how long to wait for the response")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		cfg, _, err := from.load()
		if err != nil {
			return failed(err)
		}
		path := "/_/health"
		if ready || len(args) > 0 {
			path = "/_/ready"
		}
		if len(args) > 0 {
			path += "/" + args[0]
		}
		ctx, cancel := context.WithTimeout(cmd.Context(), timeout)
		defer cancel()
		address := cfg.Server.Listen[0]
		answer, err := ask(ctx, address, cfg.Server.TLS.Cert != "", path)
		if err != nil {
			return failed(fmt.Errorf("request %[2]s from %[1]s: %[3]w", address, path, err))
		}
		fmt.Fprintln(cmd.OutOrStdout(), answer)
		return nil
	}
	return cmd
}

// ask returns the first line of a 200 answer; any other answer is an error.
func ask(ctx context.Context, listen string, tls bool, path string) (string, error) {
	client := http.Client{Transport: localTransport(listen)}
	defer client.CloseIdleConnections()
	scheme := "http"
	if tls {
		scheme = "https"
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, scheme+"://localhost"+path, nil)
	if err != nil {
		return "", err
	}
	response, err := client.Do(request)
	if err != nil {
		return "", fmt.Errorf("%w; is watchdogd running?", err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(io.LimitReader(response.Body, 64<<10)) // a problem's body is far shorter
	if err != nil {
		return "", err
	}
	text := strings.TrimSpace(string(body))
	if response.StatusCode != http.StatusOK {
		return "", fmt.Errorf("%s %s", response.Status, text)
	}
	return text, nil
}
