//go:build !linux

package supervisor

// quietPorts is a range that the system chooses no port from by itself.
func quietPorts() [2]int { return [2]int{20000, 40000} }

func holder(int) string { return "" }

func foreign(int, int, string) bool { return false }

func listeners(int, *origin) []string { return nil }
