//go:build !linux

package supervisor

import (
	"context"
	"syscall"
)

// Elsewhere orphans are init's.
func reapOrphans(ctx context.Context) { <-ctx.Done() }

func sweepOrphans(context.Context, string, syscall.Signal) int { return 0 }

func sweepAll(string) {}
