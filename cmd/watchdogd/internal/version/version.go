// Package version reports which watchdogd this is.
package version

import "runtime/debug"

// linked is set by the Makefile: -ldflags "-X .../cmd/watchdogd/internal/version.linked=...".
var linked = ""

// Text is the version that the build was given, else the module's, else "devel".
func Text() string {
	if linked != "" {
		return linked
	}
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" && info.Main.Version != "(devel)" {
		return info.Main.Version
	}
	return "devel"
}

// Revision is the commit that was built, and "unknown" where the build does not say.
func Revision() string {
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, s := range info.Settings {
			if s.Key == "vcs.revision" {
				return s.Value
			}
		}
	}
	return "unknown"
}
