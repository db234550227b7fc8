// Package version reports which watchdogd this is.
package version

import "runtime/debug"

// These are set by the Makefile and packaging/dist: -ldflags "-X .../internal/version.linked=...".
var (
	linked = "" // the version
	commit = ""
	date   = "" // of the commit, RFC 3339
)

// Date is when the commit was made that was built; "" where the build does not say.
func Date() string { return date }

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
	if commit != "" {
		return commit
	}
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, s := range info.Settings {
			if s.Key == "vcs.revision" {
				return s.Value
			}
		}
	}
	return "unknown"
}
