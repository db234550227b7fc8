package cycles

import (
	"reflect"
	"strings"
	"testing"
)

func TestCyclesAreFoundOnceEach(t *testing.T) {
	for text, want := range map[string][][]string{
		"":                         nil,
		"a: b, b: c, c":            nil,
		"a: a":                     {{"a", "a"}},
		"a: b, b: a c, c: c":       {{"a", "b", "a"}, {"c", "c"}},
		"a: b, b: c, c: a, d: a":   {{"a", "b", "c", "a"}},
		"a: missing b, b: missing": nil,
	} {
		var names []string
		needs := map[string][]string{}
		for part := range strings.SplitSeq(text, ", ") {
			name, list, _ := strings.Cut(part, ": ")
			names = append(names, name)
			needs[name] = strings.Fields(list)
		}
		if got := Find(names, func(n string) []string { return needs[n] }); !reflect.DeepEqual(got, want) {
			t.Errorf("%s: got %v, want %v", text, got, want)
		}
	}
}
