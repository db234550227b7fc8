package schema

import (
	"fmt"
	"strings"
	"testing"

	"github.com/watchdogd/watchdogd/internal/testkit"
)

// What is read costs no more than in proportion to its bytes: ten times as many at most
// fifteen times the memory, in bytes and in pieces.
func TestReadingCostsInProportionToBytes(t *testing.T) {
	parse := func(text string) func() {
		return func() { _, _ = Parse("/x/watchdog.yaml", []byte(text), nothing) } // mistakes cost, too
	}
	one := func(value string) string { return "routes: [{name: a, fprocess: x, env: {A: " + value + "}}]\n" }
	for what, make := range map[string]func(n int) func(){
		"routes": func(n int) func() {
			var b strings.Builder
			b.WriteString("routes:\n")
			for i := range n / 40 {
				fmt.Fprintf(&b, "  - {name: r%d, fprocess: x -y 'z %d'}\n", i, i)
			}
			return parse(b.String())
		},
		"unknown keys": func(n int) func() {
			var b strings.Builder
			for i := range n / 10 {
				fmt.Fprintf(&b, "k%d: 1\n", i)
			}
			return parse(b.String())
		},
		"one key again": func(n int) func() { return parse("x: {" + strings.Repeat("a: 1, ", n/6) + "}\n") },
		"a long value":  func(n int) func() { return parse(one(strings.Repeat("x", n))) },
		"a deep list":   func(n int) func() { return parse("a: " + strings.Repeat("[", n/20) + strings.Repeat("]", n/20)) },
		"words":         func(n int) func() { return parse("routes: [{name: a, fprocess: '" + strings.Repeat("w ", n/2) + "'}]") },
		"quotes": func(n int) func() {
			return parse("routes: [{name: a, fprocess: \"" + strings.Repeat("'a b' ", n/6) + "\"}]")
		},
		"a command that is wrong": func(n int) func() {
			return parse("routes: [{name: a, fprocess: '" + strings.Repeat("a | ", n/4) + "'}]")
		},
		"variables":       func(n int) func() { return parse(one("\"" + strings.Repeat("${X:-y}", n/7) + "\"")) },
		"unset variables": func(n int) func() { return parse(one("\"" + strings.Repeat("${NO}", n/5) + "\"")) },
		"nested defaults": func(n int) func() {
			return parse(one("\"" + strings.Repeat("${A:-", n/12) + strings.Repeat("}", n/12) + "\""))
		},
		"dollars":           func(n int) func() { return parse(one("\"" + strings.Repeat("$$", n/2) + "\"")) },
		"unended variables": func(n int) func() { return parse(one("\"" + strings.Repeat("${", n/2) + "\"")) },
		"aliases": func(n int) func() {
			return parse("a: &a {b: c}\nroutes: [" + strings.Repeat("*a, ", n/4) + "]\n")
		},
		"anchors": func(n int) func() {
			var b strings.Builder
			for i := range n / 12 {
				fmt.Fprintf(&b, "- &a%d x\n", i)
			}
			return parse(b.String())
		},
		"merges": func(n int) func() {
			return parse("d: &d {mode: static, root: .}\nroutes:\n" + strings.Repeat("  - {<<: *d, name: a}\n", n/22))
		},
	} {
		t.Run(what, func(t *testing.T) {
			testkit.InProportion(t, what, 20_000, nil, func(n int) testkit.Cost { return testkit.Allocated(make(n)) })
		})
	}
}

// Aliases of aliases multiply to a bound, whatever the file makes of them.
func TestABillionLaughsAreRefused(t *testing.T) {
	var b strings.Builder
	b.WriteString("x0: &x0 [lol, lol]\n")
	for i := range 40 {
		fmt.Fprintf(&b, "x%d: &x%d [%s*x%d]\n", i+1, i+1, strings.Repeat(fmt.Sprintf("*x%d, ", i), 9), i)
	}
	for what, text := range map[string]string{
		"a list":     b.String() + "routes: *x40\n",
		"a key":      b.String() + "routes: [{name: a, fprocess: *x40}]\n",
		"a default":  b.String() + "defaults: {env_file: *x40}\nroutes: [{name: a, fprocess: x}]\n",
		"a mistake":  b.String() + "routes: [{name: a, fprocess: x, nope: *x40}]\n",
		"into merge": b.String() + "routes: [{name: a, fprocess: x, <<: *x40}]\n",
	} {
		bytes := testkit.Allocated(func() {
			if _, err := Parse("/x/watchdog.yaml", []byte(text), nothing); err == nil {
				t.Errorf("%s: got no error", what)
			}
		})["bytes"]
		if most := uint64(1 << 30); bytes > most {
			t.Errorf("%s: got %d MiB for %d bytes, want at most %d", what, bytes>>20, len(text), most>>20)
		}
	}
}
