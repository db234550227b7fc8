package http1

import (
	"net/http"
	"strings"
	"testing"
)

func TestConnectionOptionsAreReadAsASet(t *testing.T) {
	header := http.Header{"Connection": {"keep-alive, X-Mine ,,x-other", "CLOSE\t,uPGRADE", "X-Request-Id, x-forwarded-for, X-AUTH-USER"}}
	hop := HopOf(header)
	if !hop.Close || !hop.KeepAlive || !hop.Upgrade {
		t.Errorf("got close %v, keep-alive %v, upgrade %v, want all three", hop.Close, hop.KeepAlive, hop.Upgrade)
	}
	for name, want := range map[string]bool{
		"X-Mine": true, "X-Other": true, "X-Third": false, "Te": true, "Http2-Settings": true, "Content-Length": false,
		"X-Request-Id": false, "X-Forwarded-For": false, "X-Auth-User": false,
	} {
		if got := hop.Ends(name); got != want {
			t.Errorf("%s ends with the connection: got %v, want %v", name, got, want)
		}
	}
}

func TestMoreConnectionOptionsThanMaxAreRefused(t *testing.T) {
	for n, want := range map[int]bool{MaxOptions: true, MaxOptions + 1: false} {
		var one, many Hop
		if got := one.Add(strings.Repeat("q,", n)); got != want {
			t.Errorf("%d options in one field are accepted: got %v, want %v", n, got, want)
		}
		got := true
		for range n {
			got = many.Add("q")
		}
		if got != want {
			t.Errorf("%d options in as many fields are accepted: got %v, want %v", n, got, want)
		}
	}
}
