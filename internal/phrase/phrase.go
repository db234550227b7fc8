// Package phrase is what messages are put together from: what somebody wrote, in quotes;
// a choice of words; the word that was probably meant.
package phrase

import (
	"fmt"
	"strings"
	"unicode/utf8"
)

// Quote returns s in double quotes, shortened when it is long.
func Quote(s string) string {
	const most = 60
	if utf8.RuneCountInString(s) > most {
		n := 0
		for i := range s {
			if n == most {
				s = s[:i] + "..."
				break
			}
			n++
		}
	}
	return fmt.Sprintf("%q", s)
}

// Either lists words as in "a, b or c".
func Either(words []string) string {
	switch n := len(words); n {
	case 0:
		return ""
	case 1:
		return words[0]
	default:
		return strings.Join(words[:n-1], ", ") + " or " + words[n-1]
	}
}

// All lists words as in "a, b and c".
func All(words []string) string {
	if n := len(words); n > 1 {
		return strings.Join(words[:n-1], ", ") + " and " + words[n-1]
	}
	return strings.Join(words, "")
}

// Count is a number of things: "1 route", "3 routes".
func Count[T ~int | ~int64 | ~uint64](n T, noun string) string {
	return fmt.Sprintf("%d %s", n, Of(n, noun, noun+"s"))
}

// Of is the word for n things: "is" for one and "are" for several.
func Of[T ~int | ~int64 | ~uint64](n T, one, several string) string {
	if n == 1 {
		return one
	}
	return several
}

// Nearest returns the word of words that word was probably meant to be, or "".
func Nearest(word string, words []string) string {
	if len(word) > 40 {
		return ""
	}
	best, least := "", 1+len(word)/5+1
	for _, w := range words {
		if d := distance(strings.ToLower(word), w); d < least {
			best, least = w, d
		}
	}
	if best == "" && len(word) >= 3 {
		for _, w := range words {
			if strings.HasPrefix(w, word) || len(w) >= 3 && strings.HasPrefix(word, w) {
				return w
			}
		}
	}
	return best
}

// distance is the number of letters to insert, remove, change or swap with their
// neighbor to turn a into b (optimal string alignment).
func distance(a, b string) int {
	two := make([]int, len(b)+1)
	one := make([]int, len(b)+1)
	row := make([]int, len(b)+1)
	for j := range one {
		one[j] = j
	}
	for i := 1; i <= len(a); i++ {
		row[0] = i
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			row[j] = min(one[j]+1, row[j-1]+1, one[j-1]+cost)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				row[j] = min(row[j], two[j-2]+1)
			}
		}
		two, one, row = one, row, two
	}
	return one[len(b)]
}

// Mistake is what is wrong with a value, and what to do about it: a problem without a place.
type Mistake struct{ Message, Hint string }

// NotOneOf is the mistake of a word that is not among words.
func NotOneOf(word string, words []string) Mistake {
	m := Mistake{Message: fmt.Sprintf("must be %s, not %s", Either(words), Quote(word))}
	if near := Nearest(word, words); near != "" {
		m.Hint = "did you mean " + near + "?"
	}
	return m
}
