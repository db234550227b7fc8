// Package holder finds out which process listens on a port or a socket, and names it.
package holder

import (
	"fmt"
	"os"
	"strings"
)

// Name names a process: "nginx (process 12)", or "process 12"; empty for 0.
func Name(pid int) string {
	if pid == 0 {
		return ""
	}
	name, err := os.ReadFile(fmt.Sprintf("/proc/%d/comm", pid))
	if err != nil {
		return fmt.Sprintf("process %d", pid)
	}
	return fmt.Sprintf("%s (process %d)", strings.TrimSpace(string(name)), pid)
}
