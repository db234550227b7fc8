// Package cycles finds circular dependencies.
package cycles

import "slices"

// Find returns the ways on which names depend on each other in a circle, each from one
// name back to the same. needs returns what a name depends on; names that are not among
// names are ignored. The way down is a slice, because a chain may be as long as the file.
func Find(names []string, needs func(string) []string) [][]string {
	type frame struct {
		name string
		left []string
	}
	known, onTheWay, done := make(map[string]bool, len(names)), make(map[string]bool), make(map[string]bool)
	for _, n := range names {
		known[n] = true
	}
	var cycles [][]string
	for _, first := range names {
		if done[first] {
			continue
		}
		way := []frame{{first, needs(first)}}
		onTheWay[first] = true
		for len(way) > 0 {
			f := &way[len(way)-1]
			if len(f.left) == 0 {
				done[f.name], onTheWay[f.name] = true, false
				way = way[:len(way)-1]
				continue
			}
			need := f.left[0]
			f.left = f.left[1:]
			switch {
			case !known[need] || done[need]:
			case onTheWay[need]:
				var cycle []string
				for _, w := range way[slices.IndexFunc(way, func(w frame) bool { return w.name == need }):] {
					cycle = append(cycle, w.name)
				}
				cycles = append(cycles, append(cycle, need))
			default:
				onTheWay[need] = true
				way = append(way, frame{need, needs(need)})
			}
		}
	}
	return cycles
}
