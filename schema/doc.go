// Package schema is the configuration: what may be written, the value of what is not
// written, and what is wrong with it.
//
// A file becomes a Config in one pass: its bytes are checked and parsed into nodes that
// know their places (syntax.go); ${...} is replaced in values (interpolate.go,
// command.go) while they are read into the types of config.go (decode.go), over the
// defaults (defaults.go) and the file's own defaults: (load.go); then values are checked
// against each other (check.go). A mistake stops nothing: all are reported at once, with
// a place and mostly with a way out (problem.go, words.go). A Config is complete,
// absolute, checked, and never changed.
//
// To add a key: add the field to config.go with its tags, its default to defaults.go,
// its relations to other keys to check.go, and its line to docs/configuration.md. To add
// a mode: see mode.go.
package schema
