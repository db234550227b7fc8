// Package option has the values of flags that are written as the file has them.
package option

import (
	"errors"
	"net"
	"strconv"
	"strings"
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

// Address returns the value of a flag that is the address of an admin API.
func Address(a *string) pflag.Value { return address{a} }

type address struct{ a *string }

// Set implements pflag.Value.
func (f address) Set(s string) error {
	path, isSocket := strings.CutPrefix(s, "unix:")
	host, port, err := net.SplitHostPort(s)
	if n, bad := strconv.Atoi(port); isSocket && path == "" || !isSocket && (err != nil || host == "" || bad != nil || n < 1 || n > 65535) {
		return errors.New("must be HOST:PORT or unix:/PATH")
	}
	*f.a = s
	return nil
}

func (f address) String() string { return *f.a }
func (f address) Type() string   { return "address" }
