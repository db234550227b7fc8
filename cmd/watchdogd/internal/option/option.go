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

// Since returns the value of a flag that is a time in the past: how long ago, or a time of the
// day or a date with a time, of this machine's time zone.
func Since(t *time.Time, now func() time.Time) pflag.Value { return since{t, now} }

type since struct {
	t   *time.Time
	now func() time.Time
}

// Set implements pflag.Value.
func (f since) Set(s string) error {
	now := f.now()
	if d, err := schema.ParseDuration(s); err == nil && d > 0 {
		*f.t = now.Add(-d.D())
		return nil
	}
	for _, layout := range []string{time.TimeOnly, "15:04"} {
		if t, err := time.ParseInLocation(layout, s, now.Location()); err == nil {
			*f.t = time.Date(now.Year(), now.Month(), now.Day(), t.Hour(), t.Minute(), t.Second(), 0, now.Location())
			if f.t.After(now) {
				*f.t = f.t.AddDate(0, 0, -1)
			}
			return nil
		}
	}
	for _, layout := range []string{time.RFC3339, time.DateTime, "2006-01-02 15:04", time.DateOnly} {
		if t, err := time.ParseInLocation(layout, s, now.Location()); err == nil {
			*f.t = t
			return nil
		}
	}
	return errors.New(`must be how long ago, such as 5m, or a time, such as 14:30 or "2026-01-31 14:30"`)
}

func (f since) String() string {
	if f.t.IsZero() {
		return ""
	}
	return f.t.Format(time.RFC3339)
}
func (f since) Type() string { return "time" }

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
