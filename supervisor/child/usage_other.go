//go:build !linux

package child

// Usages returns a function that reports nothing: it is not known on this system.
func Usages() func(*Child) Usage { return func(*Child) Usage { return Usage{} } }
