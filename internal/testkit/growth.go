package testkit

import (
	"runtime"
	"testing"
)

// Cost is what work took, by unit.
type Cost map[string]uint64

// Allocated is the memory that do takes, in "bytes" and in "pieces".
func Allocated(do func()) Cost {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	do()
	runtime.ReadMemStats(&after)
	return Cost{"bytes": after.TotalAlloc - before.TotalAlloc, "pieces": after.Mallocs - before.Mallocs}
}

// Allocs is testing.AllocsPerRun without what other goroutines allocate meanwhile: the least
// of some attempts, which end with one of at most so many.
func Allocs(runs int, most float64, do func()) float64 {
	least := testing.AllocsPerRun(runs, do)
	for attempt := 1; attempt < 10 && least > most; attempt++ {
		least = min(least, testing.AllocsPerRun(runs, do))
	}
	return least
}

// InProportion checks that twice and ten times n cost at most half as much again as their
// share of what n and slack cost: slack is what does not depend on n, such as buffers. Time
// is not measured.
func InProportion(t testing.TB, what string, n int, slack Cost, cost func(n int) Cost) {
	t.Helper()
	const attempts = 3 // what else runs allocates too, and chance has its share
	cost(n)            // what is made once
	one := cost(n)
	for range attempts - 1 {
		one.most(cost(n))
	}
	for _, times := range []int{2, 10} {
		most := Cost{}
		for unit := range one {
			most[unit] = uint64(times) * 3 * (one[unit] + slack[unit]) / 2
		}
		many := cost(times * n)
		for range attempts - 1 {
			if many.within(most) {
				break
			}
			many.least(cost(times * n))
		}
		if !many.within(most) {
			t.Errorf("%s, %d times %d: got %v, want at most %v: once costs %v", what, times, n, many, most, one)
		}
	}
}

// most keeps the greater of each unit.
func (c Cost) most(other Cost) {
	for unit, v := range other {
		c[unit] = max(c[unit], v)
	}
}

// least keeps the lesser of each unit.
func (c Cost) least(other Cost) {
	for unit, v := range other {
		c[unit] = min(c[unit], v)
	}
}

func (c Cost) within(most Cost) bool {
	for unit, v := range c {
		if v > most[unit] {
			return false
		}
	}
	return true
}
