package trace

import (
	"strings"
	"testing"
)

const (
	aTrace = "4bf92f3577b34da6a3ce929d0e0e4736"
	aSpan  = "00f067aa0ba902b7"
)

func TestATraceparentIsReadAsW3CDescribesIt(t *testing.T) {
	valid := "00-" + aTrace + "-" + aSpan + "-01"
	for _, c := range []struct {
		name    string
		values  []string
		ok      bool
		sampled bool
	}{
		{"sampled", []string{valid}, true, true},
		{"not sampled", []string{valid[:53] + "00"}, true, false},
		{"other flags", []string{valid[:53] + "fe"}, true, false},
		{"other flags, sampled", []string{valid[:53] + "ff"}, true, true},
		{"a later version", []string{"01" + valid[2:]}, true, true},
		{"a later version with more", []string{"cc" + valid[2:] + "-what"}, true, true},
		{"a later version with more of the flags", []string{"cc" + valid[2:] + "0"}, false, false},
		{"none", nil, false, false},
		{"two", []string{valid, valid}, false, false},
		{"empty", []string{""}, false, false},
		{"version ff", []string{"ff" + valid[2:]}, false, false},
		{"version 00 with more", []string{valid + "-x"}, false, false},
		{"upper case", []string{strings.ToUpper(valid)}, false, false},
		{"a trace of zeros", []string{"00-" + strings.Repeat("0", 32) + "-" + aSpan + "-01"}, false, false},
		{"a span of zeros", []string{"00-" + aTrace + "-" + strings.Repeat("0", 16) + "-01"}, false, false},
		{"other separators", []string{strings.ReplaceAll(valid, "-", "_")}, false, false},
		{"too short", []string{valid[:54]}, false, false},
		{"not hexadecimal", []string{"00-" + aTrace[:31] + "g-" + aSpan + "-01"}, false, false},
		{"flags that are not", []string{valid[:53] + "0x"}, false, false},
	} {
		p, ok := Parse(c.values)
		if ok != c.ok || p.Sampled != c.sampled || ok && (p.Trace != aTrace || p.Span != aSpan) {
			t.Errorf("%s: got %+v, %t, want ok %t, sampled %t", c.name, p, ok, c.ok, c.sampled)
		}
	}
}

func TestWhatIsWrittenIsReadAgain(t *testing.T) {
	for _, sampled := range []bool{true, false} {
		trace, span := AppendID(nil, 16), AppendID(nil, 8)
		text := string(AppendParent(nil, string(trace), span, sampled))
		p, ok := Parse([]string{text})
		if want := (Parent{string(trace), string(span), sampled}); !ok || p != want {
			t.Errorf("%s: got %+v, %t, want %+v", text, p, ok, want)
		}
		if got := IDOf(text); got != string(trace) {
			t.Errorf("the id of %s: got %s, want %s", text, got, trace)
		}
	}
	if a, b := AppendID(nil, 16), AppendID(nil, 16); string(a) == string(b) {
		t.Errorf("got %s twice, want another id", a)
	}
}

func FuzzParse(f *testing.F) {
	f.Add("00-" + aTrace + "-" + aSpan + "-01")
	f.Add("cc-" + aTrace + "-" + aSpan + "-01-more")
	f.Add("")
	f.Fuzz(func(t *testing.T, value string) {
		p, ok := Parse([]string{value})
		if !ok {
			if p != (Parent{}) {
				t.Errorf("got %+v of what is not valid, want nothing", p)
			}
			return
		}
		again, ok := Parse([]string{string(AppendParent(nil, p.Trace, []byte(p.Span), p.Sampled))})
		if !ok || again != p {
			t.Errorf("got %+v, %t, want %+v again", again, ok, p)
		}
	})
}
