package server

import (
	"io"
	"maps"
	"net"
	"net/http"
	"os"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/summerwind/h2spec/config"
	"github.com/summerwind/h2spec/generic"
	"github.com/summerwind/h2spec/hpack"
	h2 "github.com/summerwind/h2spec/http2"
	"github.com/summerwind/h2spec/spec"
)

// What h2spec finds wrong, and why it stays; docs/security.md has the same list.
var h2specLeft = map[string]string{
	"http2/8.1.2.2/1": "net/http answers 400 to a field of one connection, and does not reset the stream",
	"http2/8.1.2.2/2": "net/http answers 400 to a TE that is not trailers, and does not reset the stream",
}

func TestH2specFindsNothingButWhatIsDocumented(t *testing.T) {
	answer := func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		_, _ = io.WriteString(w, "a body that is long enough for several frames of DATA")
	}
	t.Run("by prior knowledge", func(t *testing.T) {
		left := maps.Clone(h2specLeft)
		left["http2/3.5/2"] = "what is not the preface is a request of HTTP/1.1, and gets its 400 before the connection ends"
		runH2spec(t, serve(t, answer), false, left)
	})
	t.Run("over TLS", func(t *testing.T) {
		left := maps.Clone(h2specLeft)
		left["http2/6.5.3/1"] = "net/http takes a setting that comes twice in one frame for an error"
		runH2spec(t, serveTLS(t, answer), true, left)
	})
}

// runH2spec runs all cases of h2spec, the strict ones too, against f.
func runH2spec(t *testing.T, f *front, secure bool, left map[string]string) {
	t.Helper()
	host, port, err := net.SplitHostPort(f.address)
	if err != nil {
		t.Fatal(err)
	}
	c := &config.Config{Host: host, Path: "/", Timeout: 3 * time.Second, MaxHeaderLen: 4000, Strict: true, TLS: secure, Insecure: true}
	c.Port, _ = strconv.Atoi(port)
	quiet, err := os.OpenFile(os.DevNull, os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer quiet.Close()
	out := os.Stdout
	os.Stdout = quiet // h2spec prints as it goes
	defer func() { os.Stdout = out }()

	cases := 0
	failed := map[string]bool{}
	var look func(g *spec.TestGroup)
	look = func(g *spec.TestGroup) {
		for i, test := range slices.Concat(g.Tests, g.StrictTests) {
			if test.Result == nil || test.Result.Skipped {
				t.Errorf("%s/%d was not run", g.ID(), i+1)
				continue
			}
			cases++
			if id := g.ID() + "/" + strconv.Itoa(i+1); test.Result.Failed {
				failed[id] = true
				if left[id] == "" {
					t.Errorf("%s: %s: got %v, want %s", id, test.Desc, test.Result.Error, test.Requirement)
				}
			}
		}
		for _, sub := range g.Groups {
			look(sub)
		}
	}
	for _, group := range []*spec.TestGroup{generic.Spec(), h2.Spec(), hpack.Spec()} {
		group.Test(c)
		look(group)
	}
	if cases < 145 {
		t.Errorf("got %d cases, want 145 or more", cases)
	}
	for id := range left {
		if !failed[id] {
			t.Errorf("%s passes: take it out of the list here and in docs/security.md", id)
		}
	}
}
