//go:build race

package modes

// racing says that the race detector is on.
const racing = true
