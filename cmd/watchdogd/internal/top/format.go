package top

import (
	"fmt"
	"strconv"
	"time"
)

// rate is a number of calls a second in at most five cells: 0, 0.3, 12, 1.2k, 340k.
func rate(n float64) string {
	switch {
	case n < 0.05:
		return "0"
	case n < 9.95:
		return strconv.FormatFloat(n, 'f', 1, 64)
	case n < 999.5:
		return strconv.FormatFloat(n, 'f', 0, 64)
	case n < 9950:
		return strconv.FormatFloat(n/1e3, 'f', 1, 64) + "k"
	case n < 999_500:
		return strconv.FormatFloat(n/1e3, 'f', 0, 64) + "k"
	}
	return strconv.FormatFloat(n/1e6, 'f', 1, 64) + "M"
}

// longest is the highest bound of the buckets: a quantile of that is one of at least that.
const longest = 10 * time.Second

// took is a duration in at most five cells: 0.4ms, 12ms, 1.2s, >10s.
func took(d time.Duration) string {
	switch ms := float64(d) / float64(time.Millisecond); {
	case d == 0:
		return "-"
	case d >= longest:
		return ">10s"
	case ms < 0.095:
		return strconv.FormatFloat(ms, 'f', 2, 64) + "ms"
	case ms < 9.95:
		return strconv.FormatFloat(ms, 'f', 1, 64) + "ms"
	case ms < 999.5:
		return strconv.FormatFloat(ms, 'f', 0, 64) + "ms"
	}
	return strconv.FormatFloat(d.Seconds(), 'f', 1, 64) + "s"
}

// percent is a share of a processor: 0%, 0.4%, 12%, 230%.
func percent(share float64) string {
	switch p := share * 100; {
	case p < 0.05:
		return "0%"
	case p < 9.95:
		return strconv.FormatFloat(p, 'f', 1, 64) + "%"
	default:
		return strconv.FormatFloat(p, 'f', 0, 64) + "%"
	}
}

// size is a number of bytes with a binary unit, in at most five cells: 512K, 4.2M, 120M.
func size(n int64) string {
	const units = "KMGTP"
	value, unit := float64(n)/1024, 0
	for value >= 999.5 && unit < len(units)-1 {
		value, unit = value/1024, unit+1
	}
	if value < 9.95 && unit > 0 {
		return fmt.Sprintf("%.1f%c", value, units[unit])
	}
	return fmt.Sprintf("%.0f%c", value, units[unit])
}
