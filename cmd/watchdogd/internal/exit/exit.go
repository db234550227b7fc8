// Package exit has the exit statuses of watchdogd, and the error by which a command
// chooses one of them.
package exit

import "fmt"

// The exit statuses, as docs/cli.md lists them.
const (
	OK     = 0
	Failed = 1 // a configuration, a port, a file
	Usage  = 2 // wrong use of the command line
	Cut    = 3 // calls were cut off at the end of drain.timeout
)

// Error is an error that names the status of the process. A nil Err has been printed
// already.
type Error struct {
	Status int
	Err    error
}

func (e Error) Error() string { return fmt.Sprintf("exit status %d: %v", e.Status, e.Err) }

// Unwrap returns the cause.
func (e Error) Unwrap() error { return e.Err }

// Fail makes err the end of the process with status 1; a nil err stays nil.
func Fail(err error) error {
	if err == nil {
		return nil
	}
	return Error{Failed, err}
}

// Misuse makes err the end of the process with status 2.
func Misuse(err error) error { return Error{Usage, err} }

// Silent ends the process with status 1; why is printed already.
func Silent() error { return Error{Failed, nil} }
