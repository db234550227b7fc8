// Package schema is the configuration: what may be written, what it means where
// nothing is written, and what is wrong with it.
//
//	config, err := schema.Load("watchdog.yaml", os.LookupEnv)
//	var problems schema.Problems
//	if errors.As(err, &problems) {
//		fmt.Fprintln(os.Stderr, problems) // every mistake, with its line of the file
//	}
//
// A file becomes a Config in one pass each: its bytes are looked over and parsed into
// nodes that know their places (syntax.go); ${...} is replaced in values
// (interpolate.go, command.go) while they are read into the types of config.go
// (decode.go), over the defaults (defaults.go) and the file's own defaults: (load.go);
// then values are held against each other (check.go). A mistake stops nothing: all are
// told at once, with a place and mostly with a way out (problem.go, words.go). What
// Load gives is complete, absolute and checked, and nobody changes it.
//
// To add a key: add the field to config.go with its tags, its default to defaults.go,
// what it has to do with other keys to check.go, and its line to docs/configuration.md.
package schema
