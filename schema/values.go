package schema

import (
	"fmt"
	"math"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"gopkg.in/yaml.v3"

	"github.com/watchdogd/watchdogd/internal/phrase"
	"github.com/watchdogd/watchdogd/schema/internal/decode"
)

// formError describes what a value must be and what it is.
type formError struct{ must, value, hint string }

func (e *formError) Error() string { return "must be " + e.must + ", not " + phrase.Quote(e.value) }

// parsed reads a scalar whose text has a form of its own.
func parsed[T any](d *decode.Decoder, n *yaml.Node, p *T, what string, parse func(string) (T, error)) bool {
	text, ok := d.Scalar(n, what)
	if !ok {
		return false
	}
	value, err := parse(text)
	if err != nil {
		m := err.(*formError)
		return d.Problem(n, m.Error(), m.hint)
	}
	*p = value
	return true
}

const aDuration = "a duration such as 250ms, 10s or 1m30s, or a number of seconds"

func (p *Duration) read(d *decode.Decoder, n *yaml.Node) bool {
	return parsed(d, n, p, aDuration, parseDuration)
}

func parseDuration(s string) (Duration, error) {
	if seconds, err := strconv.ParseInt(s, 10, 64); err == nil && !strings.HasPrefix(s, "+") {
		switch {
		case seconds < 0:
			return 0, &formError{must: "0 or longer", value: s}
		case seconds > math.MaxInt64/int64(time.Second):
			return 0, &formError{must: "shorter than 292 years", value: s}
		}
		return Duration(seconds) * Duration(time.Second), nil
	}
	v, err := time.ParseDuration(s)
	switch {
	case err == nil && v < 0:
		return 0, &formError{must: "0 or longer", value: s}
	case err == nil:
		return Duration(v), nil
	}
	hint := ""
	if joined := strings.ReplaceAll(s, " ", ""); joined != s {
		if v, err := time.ParseDuration(joined); err == nil && v >= 0 {
			hint = "write " + joined
		}
	}
	if number, unit := splitNumber(s); number != "" {
		switch unit {
		case "":
			hint = fmt.Sprintf("write %ss", number)
		case "d", "day", "days":
			hint = "the largest unit is h: a day is 24h"
		case "sec", "secs", "second", "seconds":
			hint = fmt.Sprintf("write %ss", number)
		case "min", "mins", "minute", "minutes":
			hint = fmt.Sprintf("write %sm", number)
		case "hour", "hours":
			hint = fmt.Sprintf("write %sh", number)
		case "msec", "millisecond", "milliseconds":
			hint = fmt.Sprintf("write %sms", number)
		}
	}
	return 0, &formError{aDuration, s, hint}
}

// splitNumber cuts a decimal number off the front of s.
func splitNumber(s string) (number, unit string) {
	n := 0
	for n < len(s) && (s[n] >= '0' && s[n] <= '9' || s[n] == '.') {
		n++
	}
	return s[:n], strings.TrimSpace(s[n:])
}

// String writes d so that it reads back as the same.
func (d Duration) String() string {
	if d == 0 {
		return "0"
	}
	s := time.Duration(d).String()
	// 1m0s and 2h0m0s are 1m and 2h.
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}

// sizes are the units, the one to write a number in first.
var sizes = []struct {
	unit  string
	bytes int64
}{
	{"TiB", 1 << 40}, {"GiB", 1 << 30}, {"MiB", 1 << 20}, {"KiB", 1 << 10},
	{"TB", 1e12}, {"GB", 1e9}, {"MB", 1e6}, {"KB", 1e3}, {"B", 1},
}

const aSize = "a size such as 64KiB or 10MB, or a number of bytes"

func (p *Size) read(d *decode.Decoder, n *yaml.Node) bool { return parsed(d, n, p, aSize, parseSize) }

func parseSize(s string) (Size, error) {
	if strings.HasPrefix(s, "-") {
		return 0, &formError{must: "a size of 0 or more", value: s}
	}
	number, unit := splitNumber(s)
	factor := int64(1)
	if unit != "" {
		i := slices.IndexFunc(sizes, func(u struct {
			unit  string
			bytes int64
		}) bool {
			return strings.EqualFold(u.unit, unit)
		})
		if i < 0 || number == "" {
			hint := ""
			if len(unit) == 1 && strings.ContainsAny(unit, "kKmMgGtT") && number != "" {
				u := strings.ToUpper(unit)
				hint = fmt.Sprintf("write %s%siB (times 1024) or %s%sB (times 1000)", number, u, number, u)
			}
			return 0, &formError{aSize, s, hint}
		}
		factor = sizes[i].bytes
	}
	if n, err := strconv.ParseInt(number, 10, 64); err == nil {
		if n > math.MaxInt64/factor {
			return 0, &formError{must: "a size below 8388608 TiB", value: s}
		}
		return Size(n * factor), nil
	}
	f, err := strconv.ParseFloat(number, 64)
	if err != nil || unit == "" {
		return 0, &formError{must: aSize, value: s}
	}
	if f *= float64(factor); f >= math.MaxInt64 {
		return 0, &formError{must: "a size below 8388608 TiB", value: s}
	}
	return Size(math.Round(f)), nil
}

// String writes n so that it reads back as the same.
func (n Size) String() string {
	for _, u := range sizes[:4] {
		if n != 0 && int64(n)%u.bytes == 0 {
			return strconv.FormatInt(int64(n)/u.bytes, 10) + u.unit
		}
	}
	return strconv.FormatInt(int64(n), 10)
}

const aRate = `a rate such as "100/s", "20/m" or "100/s burst 50"`

func (p *Rate) read(d *decode.Decoder, n *yaml.Node) bool { return parsed(d, n, p, aRate, parseRate) }

func parseRate(s string) (Rate, error) {
	if s == "" {
		return Rate{}, nil
	}
	hint := ""
	if _, err := strconv.ParseFloat(s, 64); err == nil {
		hint = fmt.Sprintf("write \"%s/s\" for that many requests a second", s)
	}
	bad := &formError{aRate, s, hint}
	fields := strings.Fields(s)
	count, unit, ok := strings.Cut(fields0(fields), "/")
	if !ok || len(fields) != 1 && (len(fields) != 3 || fields[1] != "burst") {
		return Rate{}, bad
	}
	per, ok := map[string]float64{"s": 1, "m": 60, "h": 3600}[unit]
	number, err := strconv.ParseFloat(count, 64)
	if !ok || err != nil || strings.Trim(count, "0123456789.e-+") != "" {
		return Rate{}, bad
	}
	if !(number > 0) || number > 1e9 {
		return Rate{}, &formError{"a rate above 0 and up to 1000000000", s, `"" is no limit`}
	}
	r := Rate{PerSecond: number / per}
	r.Burst = max(1, int(math.Ceil(r.PerSecond)))
	if len(fields) == 3 {
		if r.Burst, err = strconv.Atoi(fields[2]); err != nil || r.Burst < 1 || r.Burst > 1e9 {
			return Rate{}, &formError{"a rate with a burst of 1 or more", s, ""}
		}
	}
	return r, nil
}

func fields0(fields []string) string {
	if len(fields) == 0 {
		return ""
	}
	return fields[0]
}

// String writes r so that it reads back as the same; "" is no limit.
func (r Rate) String() string {
	if r == (Rate{}) {
		return ""
	}
	number, unit := strconv.FormatFloat(r.PerSecond, 'g', -1, 64), "s"
	for _, per := range []struct {
		unit    string
		seconds float64
	}{{"s", 1}, {"m", 60}, {"h", 3600}} {
		if n := math.Round(r.PerSecond * per.seconds); n > 0 && n/per.seconds == r.PerSecond {
			number, unit = strconv.FormatFloat(n, 'f', -1, 64), per.unit
			break
		}
	}
	if r.Burst == max(1, int(math.Ceil(r.PerSecond))) {
		return number + "/" + unit
	}
	return fmt.Sprintf("%s/%s burst %d", number, unit, r.Burst)
}

const aUmask = `an octal number from "000" to "777"`

func (p *Umask) read(d *decode.Decoder, n *yaml.Node) bool {
	return parsed(d, n, p, aUmask, parseUmask)
}

func parseUmask(s string) (Umask, error) {
	if s == "" {
		return Umask{}, nil
	}
	mask, err := strconv.ParseUint(strings.TrimPrefix(s, "0o"), 8, 32)
	if err != nil || mask > 0o777 {
		return Umask{}, &formError{must: aUmask, value: s}
	}
	return Umask{Set: true, Mask: uint32(mask)}, nil
}

// String writes u so that it reads back as the same; "" is not set.
func (u Umask) String() string {
	if !u.Set {
		return ""
	}
	return fmt.Sprintf("%03o", u.Mask)
}

const aSignal = "the name of a signal"

// SignalNames returns the names that stop.signal takes.
func SignalNames() []string {
	return []string{"TERM", "INT", "HUP", "QUIT", "USR1", "USR2", "WINCH", "KILL"}
}

func (p *Signal) read(d *decode.Decoder, n *yaml.Node) bool {
	return parsed(d, n, p, aSignal, parseSignal)
}

func parseSignal(s string) (Signal, error) {
	signals := SignalNames()
	name := strings.TrimPrefix(strings.ToUpper(s), "SIG")
	if !slices.Contains(signals, name) {
		hint := ""
		if near := phrase.Nearest(strings.ToLower(name), lower(signals)); near != "" {
			hint = "did you mean " + strings.ToUpper(near) + "?"
		}
		return "", &formError{phrase.Either(signals), s, hint}
	}
	return Signal(name), nil
}

func lower(words []string) []string {
	out := make([]string, len(words))
	for i, w := range words {
		out[i] = strings.ToLower(w)
	}
	return out
}

const aNetwork = "a network such as 10.0.0.0/8, or an address"

// parsePrefix reads a network, or one address.
func parsePrefix(s string) (netip.Prefix, error) {
	if p, err := netip.ParsePrefix(s); err == nil {
		if p != p.Masked() {
			return netip.Prefix{}, &formError{"a network address without host bits", s, "the network is " + p.Masked().String()}
		}
		return p, nil
	}
	if a, err := netip.ParseAddr(s); err == nil && a.Zone() == "" {
		return netip.PrefixFrom(a, a.BitLen()), nil
	}
	return netip.Prefix{}, &formError{must: aNetwork, value: s}
}

// The command line takes a duration, a number of instances and the like by the rules of the
// file, so that a value that stands in one can be given to the other.

// MaxReplicas is how many instances a route or service may have.
const MaxReplicas = 10000

// ParseDuration reads a duration as the file has it: 250ms, 1m30s, or a number of seconds.
func ParseDuration(s string) (Duration, error) {
	d, err := parseDuration(s)
	if e, ok := err.(*formError); ok && e.hint != "" {
		return 0, fmt.Errorf("%w; %s", err, e.hint)
	}
	return d, err
}

// ParseCount reads a whole number from least to most, in digits.
func ParseCount(s string, least, most int) (int, error) {
	n, err := strconv.Atoi(s)
	if err != nil || strings.HasPrefix(s, "+") || n < least || n > most {
		return 0, &formError{must: fmt.Sprintf("a whole number from %d to %d", least, most), value: s}
	}
	return n, nil
}
