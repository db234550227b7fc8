//go:build !linux

package child

import (
	"context"
	"log/slog"
	"syscall"
)

// Elsewhere orphans are init's.
func reapOrphans(ctx context.Context, _ *slog.Logger) { <-ctx.Done() }

// Sweep does nothing: descendants that left the group are not found on this system.
func (*Child) Sweep(context.Context, syscall.Signal) int { return 0 }

// SweepAll does nothing, as Sweep.
func (*Owner) SweepAll() {}

type origin struct{}

func newOrigin(string, string) *origin { return &origin{} }

// Processes returns the child alone: its descendants are not found on this system.
func (c *Child) Processes() []int { return []int{c.pid} }

// Predates reports false: the start of a process is not known on this system.
func (*Child) Predates(int) bool { return false }

// Leftovers returns none: descendants are not found on this system.
func (*Child) Leftovers() []string { return nil }
