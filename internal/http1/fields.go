package http1

import (
	"net/http"
	"slices"
)

// Field is one field of a head or a trailer; its name is in canonical form.
type Field struct{ Name, Value string }

// Fields are the fields of a head, in the order in which they came: an index over its text.
// A head has few fields, so that a name is found by a walk, and most that are not there
// without one. Names are given in canonical form. The zero Fields are none.
type Fields struct {
	list  []Field
	marks uint64 // of all names in list, and perhaps of others
}

// mark is a bit of the name's length and two of its bytes.
func mark(name string) uint64 {
	n := len(name)
	if n == 0 {
		return 1
	}
	return 1 << ((uint(n)*5 ^ uint(name[n-1])*3 ^ uint(name[n/2])) & 63)
}

// Reset removes all fields. Their memory is used again.
func (f *Fields) Reset() { f.list, f.marks = f.list[:0], 0 }

// Forget is Reset that keeps no text, and no memory for more than most fields.
func (f *Fields) Forget(most int) {
	clear(f.list)
	if f.Reset(); cap(f.list) > most {
		f.list = nil
	}
}

// Len is the number of fields.
func (f *Fields) Len() int { return len(f.list) }

// All returns the fields, until the next change.
func (f *Fields) All() []Field { return f.list }

// Add appends a field.
func (f *Fields) Add(name, value string) {
	f.list = append(f.list, Field{name, value})
	f.marks |= mark(name)
}

// Get returns the value of the first field called name, or nothing.
func (f *Fields) Get(name string) string {
	if i := f.index(name); i >= 0 {
		return f.list[i].Value
	}
	return ""
}

// Has reports whether there is a field called name.
func (f *Fields) Has(name string) bool { return f.index(name) >= 0 }

func (f *Fields) index(name string) int {
	if f == nil || f.marks&mark(name) == 0 {
		return -1
	}
	for i := range f.list {
		if f.list[i].Name == name {
			return i
		}
	}
	return -1
}

// Values appends the values of all fields called name to values.
func (f *Fields) Values(values []string, name string) []string {
	i := f.index(name)
	if i < 0 {
		return values
	}
	for _, field := range f.list[i:] {
		if field.Name == name {
			values = append(values, field.Value)
		}
	}
	return values
}

// HasValue reports whether a field called name has this value.
func (f *Fields) HasValue(name, value string) bool {
	if i := f.index(name); i >= 0 {
		return slices.Contains(f.list[i:], Field{name, value})
	}
	return false
}

// Set puts one field called name in place of all that are.
func (f *Fields) Set(name, value string) {
	i := f.index(name)
	if i < 0 {
		f.Add(name, value)
		return
	}
	f.list[i].Value = value
	rest := Fields{list: f.list[i+1:]}
	rest.DeleteFunc(func(o Field) bool { return o.Name == name })
	f.list = f.list[:i+1+len(rest.list)]
}

// Delete removes the fields called name.
func (f *Fields) Delete(name string) {
	if f.index(name) >= 0 {
		f.DeleteFunc(func(o Field) bool { return o.Name == name })
	}
}

// DeleteFunc removes the fields for which del returns true. It is slices.DeleteFunc, but that
// del costs no memory.
func (f *Fields) DeleteFunc(del func(Field) bool) {
	kept := f.list[:0]
	for _, field := range f.list {
		if !del(field) {
			kept = append(kept, field)
		}
	}
	clear(f.list[len(kept):])
	f.list = kept
}

// From makes f the fields of header.
func (f *Fields) From(header http.Header) {
	f.Reset()
	for name, values := range header {
		for _, value := range values {
			f.Add(name, value)
		}
	}
}

// Into adds the fields to header. The values are in the memory of values where that has room
// for them; it must not be used again before header. It returns that memory.
func (f *Fields) Into(header http.Header, values []string) []string {
	if len(values) < len(f.list) {
		values = make([]string, max(len(f.list), 32))
	}
	for i, field := range f.list {
		if before, ok := header[field.Name]; ok {
			header[field.Name] = append(before, field.Value)
		} else {
			values[i] = field.Value
			header[field.Name] = values[i : i+1 : i+1]
		}
	}
	return values
}

// Fielder is a http.Handler that takes the fields of a request. From a server that has them, in
// a FieldWriter, it gets a request without a Header.
type Fielder interface{ TakesFields() }

// FieldWriter is the http.ResponseWriter of a server that has a request's fields.
type FieldWriter interface {
	// Fields returns the fields of the request. The handler may change them.
	Fields() *Fields
	// RequestHeader returns the same as an http.Header, until the handler returns.
	RequestHeader() http.Header
}
