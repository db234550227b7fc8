package requests

import (
	"bytes"
	"net/http"
	"strings"
	"testing"
)

func TestTheReasonOfALongProblemIsReportedWhole(t *testing.T) {
	detail := strings.Repeat("the cause ", 50) + "and what to do"
	a := Answer{Status: 503, Proto: "HTTP/1.1", Header: http.Header{}, Body: `{"type":"x","detail":"` + detail + `"}` + "\n"}
	var out bytes.Buffer
	Result{Request: &Request{Method: "GET", Target: "/"}, Differs: []Mistake{{}}, Got: a}.Report(&out, func(text string, _ Tone) string { return text })
	if !strings.Contains(out.String(), "| detail: "+detail+"\n") {
		t.Errorf("got\n%s\nwant the detail in it whole", out.String())
	}
}
