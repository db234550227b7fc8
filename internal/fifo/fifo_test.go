package fifo

import (
	"fmt"
	"slices"
	"testing"
)

func TestItemsLeaveInTheOrderOfTheirComingAndFromTheMiddle(t *testing.T) {
	for _, out := range [][]int{{}, {0}, {1}, {2}, {0, 1}, {1, 2}, {0, 2}, {2, 1, 0}} {
		t.Run(fmt.Sprint(out), func(t *testing.T) {
			var l List[int]
			items := make([]Item[int], 3)
			want := []int{}
			for i := range items {
				items[i].Value = i
				l.Push(&items[i])
				if !slices.Contains(out, i) {
					want = append(want, i)
				}
			}
			for _, i := range out {
				if !l.Remove(&items[i]) || l.Remove(&items[i]) || l.Has(&items[i]) {
					t.Errorf("item %d: got a second removal, want one", i)
				}
			}
			if got := slices.Collect(l.All()); !slices.Equal(got, want) {
				t.Errorf("All: got %v, want %v", got, want)
			}
			for _, v := range want {
				if got := l.Pop(); got.Value != v {
					t.Errorf("Pop: got %d, want %d", got.Value, v)
				}
			}
			if got := l.Pop(); got != nil || l.Len() != 0 {
				t.Errorf("empty list: got %v and length %d, want nothing", got, l.Len())
			}
			l.Push(&items[0]) // a list that was emptied is as good as new
			if got := l.Pop(); got != &items[0] {
				t.Errorf("after it was empty: got %v, want item 0", got)
			}
		})
	}
}
