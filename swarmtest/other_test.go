//go:build !linux

package swarmtest

import "testing"

func TestSwarm(t *testing.T) {
	t.Skip("no Docker Swarm can be started here: its engines need the namespaces of Linux")
}
