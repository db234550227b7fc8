package main

import (
	"errors"
	"strconv"
	"time"

	"github.com/watchdogd/watchdogd/schema"
)

// durationFlag is a flag that is written as a duration of the file.
type durationFlag struct{ d *time.Duration }

// Set implements pflag.Value.
func (f durationFlag) Set(s string) error {
	d, err := schema.ParseDuration(s)
	if err == nil && d == 0 {
		err = errors.New("must be longer than 0")
	}
	if err == nil {
		*f.d = d.D()
	}
	return err
}

func (f durationFlag) String() string { return f.d.String() }
func (f durationFlag) Type() string   { return "duration" }

// countFlag is a flag that is a whole number from 0 to most.
type countFlag struct {
	n    *int
	most int
}

// Set implements pflag.Value.
func (f countFlag) Set(s string) (err error) {
	n, err := schema.ParseCount(s, 0, f.most)
	if err == nil {
		*f.n = n
	}
	return err
}

func (f countFlag) String() string { return strconv.Itoa(*f.n) }
func (f countFlag) Type() string   { return "number" }
