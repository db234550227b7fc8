//go:build !linux

package started

import "golang.org/x/sys/unix"

// replace makes descriptor fd what from is.
func replace(from, fd int) error { return unix.Dup2(from, fd) }
