//go:build !man

package main

import "github.com/spf13/cobra"

// manual returns no command: see man.go.
func manual() []*cobra.Command { return nil }
