// Package schema is the configuration: what may be written, the value of what is not
// written, and what is wrong with it.
//
// A file becomes a Config in one pass (load.go): its bytes are checked and parsed into
// nodes that know their places (internal/source); they are read into the types of
// config.go (internal/decode), over the defaults (defaults.go) and the file's own
// defaults: (inherit.go), while ${...} is replaced in values (internal/expand); then
// values are checked against each other (check.go). A type with a form of its own has a
// method read (forms.go, values.go, command.go, upstream.go). A mistake stops nothing:
// all are reported at once, with a place and mostly with a way out (words.go). A Config
// is complete, absolute, checked, and never changed.
//
// To add a key: add the field to config.go with its tags, its default to defaults.go,
// its relations to other keys to check.go or the file of its section, and its line to
// docs/configuration.md. To add a mode: see mode.go.
package schema
