// Package option has the values of flags that are written as the file has them.
package option

import (
	"errors"
	"strconv"
	"time"

	"github.com/spf13/pflag"

	"github.com/watchdogd/watchdogd/schema"
)

// Duration returns the value of a flag that is written as a duration of the file.
func Duration(d *time.Duration) pflag.Value { return duration{d} }

type duration struct{ d *time.Duration }

// Set implements pflag.Value.
func (f duration) Set(s string) error {
	d, err := schema.ParseDuration(s)
	if err == nil && d == 0 {
		err = errors.New("must be longer than 0")
	}
	if err == nil {
		*f.d = d.D()
	}
	return err
}

func (f duration) String() string { return f.d.String() }
func (f duration) Type() string   { return "duration" }

// Count returns the value of a flag that is a whole number from 0 to most.
func Count(n *int, most int) pflag.Value { return count{n, most} }

type count struct {
	n    *int
	most int
}

// Set implements pflag.Value.
func (f count) Set(s string) (err error) {
	n, err := schema.ParseCount(s, 0, f.most)
	if err == nil {
		*f.n = n
	}
	return err
}

func (f count) String() string { return strconv.Itoa(*f.n) }
func (f count) Type() string   { return "number" }
