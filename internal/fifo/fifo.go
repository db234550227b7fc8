// Package fifo is a list in the order of coming whose links are in what is listed: nothing is
// allocated, and anything can leave from the middle. What is listed has an Item for each
// list that it may be in, and the list's owner a lock.
package fifo

import "iter"

// List is a list; the zero List is empty.
type List[T any] struct {
	first, last *Item[T]
	n           int
}

// Item is a place in at most one list. Value is what the list is of.
type Item[T any] struct {
	Value T

	list       *List[T]
	prev, next *Item[T]
}

// Len is the number of items in l.
func (l *List[T]) Len() int { return l.n }

// Has reports whether i is in l.
func (l *List[T]) Has(i *Item[T]) bool { return i.list == l }

// Push appends i, which is in no list.
func (l *List[T]) Push(i *Item[T]) {
	i.list, i.prev, i.next = l, l.last, nil
	if l.last == nil {
		l.first = i
	} else {
		l.last.next = i
	}
	l.last = i
	l.n++
}

// Pop removes the first item and returns it; nil when there is none.
func (l *List[T]) Pop() *Item[T] {
	i := l.first
	if i != nil {
		l.Remove(i)
	}
	return i
}

// Remove takes i out, and reports false when it is not in l.
func (l *List[T]) Remove(i *Item[T]) bool {
	if i.list != l {
		return false
	}
	if i.prev == nil {
		l.first = i.next
	} else {
		i.prev.next = i.next
	}
	if i.next == nil {
		l.last = i.prev
	} else {
		i.next.prev = i.prev
	}
	i.list, i.prev, i.next = nil, nil, nil
	l.n--
	return true
}

// Backward yields the values, the last first. None may be removed meanwhile.
func (l *List[T]) Backward() iter.Seq[T] {
	return func(yield func(T) bool) {
		for i := l.last; i != nil && yield(i.Value); i = i.prev {
		}
	}
}

// All yields the values in order. The one that it is at may be removed meanwhile.
func (l *List[T]) All() iter.Seq[T] {
	return func(yield func(T) bool) {
		for i := l.first; i != nil; {
			next := i.next
			if !yield(i.Value) {
				return
			}
			i = next
		}
	}
}
