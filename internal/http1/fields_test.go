package http1

import (
	"net/http"
	"reflect"
	"slices"
	"testing"
)

func TestFieldsAreFoundByName(t *testing.T) {
	var f Fields
	if f.Has("A") || f.Get("A") != "" || (*Fields)(nil).Has("A") {
		t.Error("no fields: got one called A, want none")
	}
	f.Add("A", "1")
	f.Add("Set-Cookie", "x")
	f.Add("A", "2")
	f.Add("B", "")
	if got := f.Get("A"); got != "1" {
		t.Errorf("Get: got %q, want the first, 1", got)
	}
	if got := f.Values(nil, "A"); !slices.Equal(got, []string{"1", "2"}) {
		t.Errorf("Values: got %q, want 1 and 2", got)
	}
	if !f.Has("B") || f.Has("b") || f.Has("C") {
		t.Errorf("Has: got B %v, b %v, C %v, want true, false, false", f.Has("B"), f.Has("b"), f.Has("C"))
	}
	if !f.HasValue("A", "2") || f.HasValue("A", "x") || f.HasValue("B", "2") {
		t.Errorf("HasValue of %v: got %v %v %v, want true, false, false", f.All(), f.HasValue("A", "2"), f.HasValue("A", "x"), f.HasValue("B", "2"))
	}
	f.Set("A", "3")
	f.Set("D", "4")
	if want := []Field{{"A", "3"}, {"Set-Cookie", "x"}, {"B", ""}, {"D", "4"}}; !slices.Equal(f.All(), want) {
		t.Errorf("after Set: got %v, want %v", f.All(), want)
	}
	f.Delete("A")
	f.Delete("None")
	if want := []Field{{"Set-Cookie", "x"}, {"B", ""}, {"D", "4"}}; !slices.Equal(f.All(), want) || f.Has("A") {
		t.Errorf("after Delete: got %v, want %v", f.All(), want)
	}
	if f.Forget(1); f.Len() != 0 || f.Has("B") {
		t.Errorf("after Forget: got %v, want none", f.All())
	}
}

func TestFieldsAndAHeaderAreTheSame(t *testing.T) {
	want := http.Header{"A": {"1", "2", "3"}, "B": {""}, "X-Y": {"z"}}
	var f Fields
	f.From(want)
	got := http.Header{}
	values := f.Into(got, make([]string, 8))
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	got["B"] = append(got["B"], "more") // it must not be written into another's value
	again := http.Header{}
	if f.Into(again, nil); !reflect.DeepEqual(again, want) || len(values) != 8 {
		t.Errorf("got %v and memory for %d, want %v and 8", again, len(values), want)
	}
	if got["A"][0] != "1" || got["X-Y"][0] != "z" {
		t.Errorf("got %v, want the other values as before", got)
	}
}

func TestHostIsNotAFieldOfARequest(t *testing.T) {
	var q Request
	if err := q.Parse("POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\nX: y\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	if want := []Field{{"X", "y"}}; !slices.Equal(q.Fields.All(), want) || q.Host != "h" || !q.Chunked {
		t.Errorf("got %v, host %q, chunked %v, want %v, h and true", q.Fields.All(), q.Host, q.Chunked, want)
	}
}

func TestHopOfFieldsIsThatOfTheHeader(t *testing.T) {
	var f Fields
	f.Add("Connection", "close, X-Mine")
	f.Add("A", "b")
	f.Add("Connection", "upgrade")
	if h := f.Hop(); !h.Close || !h.Upgrade || !h.Ends("X-Mine") || h.Ends("A") {
		t.Errorf("got %+v, want close, upgrade and an end of X-Mine", h)
	}
}
