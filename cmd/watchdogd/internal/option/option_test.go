package option

import (
	"strings"
	"testing"
	"time"
)

func TestSinceIsHowLongAgoOrATime(t *testing.T) {
	zone := time.FixedZone("here", 3600)
	now := time.Date(2026, 3, 2, 10, 0, 0, 0, zone)
	for written, want := range map[string]time.Time{
		"5m":                        now.Add(-5 * time.Minute),
		"90":                        now.Add(-90 * time.Second),
		"09:30":                     time.Date(2026, 3, 2, 9, 30, 0, 0, zone),
		"23:30:05":                  time.Date(2026, 3, 1, 23, 30, 5, 0, zone), // yesterday
		"2026-01-31 14:30":          time.Date(2026, 1, 31, 14, 30, 0, 0, zone),
		"2026-01-31 14:30:01":       time.Date(2026, 1, 31, 14, 30, 1, 0, zone),
		"2026-01-31":                time.Date(2026, 1, 31, 0, 0, 0, 0, zone),
		"2026-01-31T14:30:00+00:00": time.Date(2026, 1, 31, 15, 30, 0, 0, zone),
	} {
		var got time.Time
		if err := Since(&got, func() time.Time { return now }).Set(written); err != nil || !got.Equal(want) {
			t.Errorf("%s: got %v, %v; want %v", written, got, err, want)
		}
	}
	for _, wrong := range []string{"", "0", "-5m", "5q", "yesterday", "25:00"} {
		var got time.Time
		if err := Since(&got, func() time.Time { return now }).Set(wrong); err == nil || !strings.Contains(err.Error(), "must be how long ago") {
			t.Errorf("%q: got %v, %v; want an error that says what is right", wrong, got, err)
		}
	}
}
