package draft

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"sync"

	"github.com/watchdogd/watchdogd/schema"
)

// Settle makes f a file that schema.Parse accepts, unless it is Empty then: a key that is
// refused becomes a comment with the reason, and an item that is refused becomes a comment as
// a whole. It returns a sentence for each. name is the file that f will be, and env its variables.
func (f *File) Settle(name string, env func(string) (string, bool)) ([]string, error) {
	var said []string
	for range mostRounds {
		if f.Empty() {
			return said, nil
		}
		_, err := schema.Parse(name, f.Bytes(), env)
		problems, ok := errors.AsType[schema.Problems](err)
		if err == nil {
			return said, nil
		}
		if !ok {
			return said, err
		}
		changed := false
		for _, p := range problems {
			if sentence := f.dismiss(p); sentence != "" {
				said, changed = append(said, sentence), true
			}
		}
		if !changed {
			return said, err
		}
	}
	return said, errors.New("the result is not a valid file")
}

// Empty reports whether all of f is comments.
func (f *File) Empty() bool {
	return !slices.ContainsFunc(slices.Concat(f.Routes, f.Services), func(i *Item) bool { return !i.Gone })
}

// mostRounds bounds how often a mistake that another one hid is dismissed.
const mostRounds = 20

var itemPath = sync.OnceValue(func() *regexp.Regexp {
	return regexp.MustCompile(`^(routes|services)\[(\d+)\](?:\.([a-z_]+))?(?:\.([^.]+))?`)
})

// dismiss takes what p is about out of f; the sentence is empty if it is there no longer.
func (f *File) dismiss(p schema.Problem) string {
	m := itemPath().FindStringSubmatch(p.Path)
	if m == nil {
		return ""
	}
	items := f.Routes
	if m[1] == "services" {
		items = f.Services
	}
	number, _ := strconv.Atoi(m[2]) // digits
	item := alive(items, number)
	if item == nil {
		return ""
	}
	reason := p.Message
	if p.Hint != "" {
		reason += "; " + p.Hint
	}
	key, at := m[3], item.index(m[3])
	if at < 0 || key == "fprocess" || key == "path" || key == "upstream" || key == "root" || key == "mode" {
		if item.Gone {
			return ""
		}
		item.Gone = true
		item.Head = append(item.Head, "This is a comment because: "+reason)
		return fmt.Sprintf("%s is written as a comment: %s", item.Name, reason)
	}
	if env, ok := item.Keys[at].Value.(Ordered); ok && m[4] != "" {
		for n := range env {
			if env[n].Name == m[4] {
				item.Set(key, append(append(Ordered{}, env[:n]...), env[n+1:]...))
				item.Lost(key+" "+m[4], reason)
				return fmt.Sprintf("%s: not carried over: %s %s: %s", item.Name, key, m[4], reason)
			}
		}
	}
	item.Drop(key)
	item.Lost(key, reason)
	return fmt.Sprintf("%s: not carried over: %s: %s", item.Name, key, reason)
}

// alive is the item with this number among those that are not comments.
func alive(items []*Item, number int) *Item {
	for _, item := range items {
		if item.Gone {
			continue
		}
		if number == 0 {
			return item
		}
		number--
	}
	return nil
}
