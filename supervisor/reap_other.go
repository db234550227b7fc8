//go:build !linux

package supervisor

import (
	"context"
	"log/slog"
	"syscall"
)

// Elsewhere orphans are init's.
func reapOrphans(ctx context.Context, _ *slog.Logger) { <-ctx.Done() }

func sweepOrphans(context.Context, string, syscall.Signal) int { return 0 }

func sweepAll(string) {}
