package lives

import "testing"

func TestTheLastLivesAreKept(t *testing.T) {
	var r Record
	for n := range Most + 5 {
		before := r
		r.Add(Life{Instance: n})
		if len(before) == Most && before[0].Instance != n-Most {
			t.Errorf("what was handed out before life %d: got %d first, want %d: it is not to change", n, before[0].Instance, n-Most)
		}
	}
	if len(r) != Most || r[0].Instance != 5 || r[Most-1].Instance != Most+4 {
		t.Errorf("got %d lives, from %d to %d, want %d from 5 to %d", len(r), r[0].Instance, r[len(r)-1].Instance, Most, Most+4)
	}
}
