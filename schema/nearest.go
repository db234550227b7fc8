package schema

import "github.com/watchdogd/watchdogd/schema/internal/phrase"

// Nearest returns the name of names that name was probably meant to be, or "".
func Nearest(name string, names []string) string { return phrase.Nearest(name, names) }
