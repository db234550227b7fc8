//go:build !linux

package supervisor

import "github.com/watchdogd/watchdogd/supervisor/child"

// quietPorts is a range that the system chooses no port from by itself.
func quietPorts() [2]int { return [2]int{20000, 40000} }

func holder(int) string { return "" }

func foreign(int, *child.Child) bool { return false }

func listeners(*child.Child) []string { return nil }
