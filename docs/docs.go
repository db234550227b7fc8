// Package docs holds the pages of this folder that watchdogd prints itself.
package docs

import _ "embed"

//go:embed errors.md
var errorsPage string

// Errors returns docs/errors.md: a section for each error that watchdogd itself answers.
func Errors() string { return errorsPage }
