//go:build !linux

package server

import "syscall"

// hungUp cannot tell: a caller who leaves is noticed when something is written to him,
// or when the request's body is read.
func hungUp(syscall.RawConn) bool { return false }

// hasInput cannot tell either.
func hasInput(syscall.RawConn) bool { return false }
