package http1

import (
	"net/http"
	"strconv"
)

// ends reports whether the field of this canonical name is not forwarded as it came.
func (p *Response) ends(name string) bool { return name == "Content-Length" || p.Hop.Ends(name) }

// Forwarded returns the value of the first field of this canonical name, if that is forwarded.
func (p *Response) Forwarded(name string) (value string, ok bool) {
	if !p.Fields.Has(name) || p.Hop.Ends(name) {
		return "", false
	}
	return p.Fields.Get(name), true
}

// Each calls f for each field that is forwarded.
func (p *Response) Each(f func(name, value string)) {
	for i := range p.Fields.list {
		if field := &p.Fields.list[i]; !p.ends(field.Name) {
			f(field.Name, field.Value)
		}
	}
}

// Forward puts the fields that are not for one connection only into the header of a
// response, in place of what it has under the same names.
func (p *Response) Forward(header http.Header) {
	if len(header) > 0 {
		p.Each(func(name, _ string) { delete(header, name) })
	}
	values := make([]string, 0, p.Fields.Len()+1)
	p.Each(func(name, value string) {
		if before, ok := header[name]; ok {
			header[name] = append(before, value)
			return
		}
		values = append(values, value)
		header[name] = values[len(values)-1 : len(values) : len(values)]
	})
	if p.Length < 0 {
		delete(header, "Content-Length")
		return
	}
	length := p.Fields.Get("Content-Length")
	if len(length) > 1 && length[0] == '0' {
		length = strconv.FormatInt(p.Length, 10)
	}
	header["Content-Length"] = append(values, length)[len(values):]
}

// HeadWriter is a http.ResponseWriter that sends the head of a response from its fields.
type HeadWriter interface {
	// WriteHead is WriteHeader with the status of p, and with the fields that p.Forward would
	// put into the header.
	WriteHead(p *Response)
}

// WriteHead sends the head of a response that is forwarded: from its fields where w can do
// that, and by way of its header where not.
func WriteHead(w http.ResponseWriter, p *Response) {
	if to, ok := w.(HeadWriter); ok {
		to.WriteHead(p)
		return
	}
	p.Forward(w.Header())
	w.WriteHeader(p.Status)
}
