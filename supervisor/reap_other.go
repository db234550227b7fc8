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

type origin struct{ file string }

func newOrigin(string) *origin { return &origin{} }

func (*origin) sweep(context.Context, syscall.Signal) int { return 0 }

func (i *Instance) leftovers() []string { return nil }

func sweepAll(string) {}
