//go:build !linux

package server

import "syscall"

// hungUp cannot know: a client that leaves is noticed when something is written to it,
// or when the request's body is read.
func hungUp(syscall.RawConn) bool { return false }

// hasInput cannot tell either.
func hasInput(syscall.RawConn) bool { return false }
