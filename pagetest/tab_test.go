package pagetest

import (
	"context"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
)

// tab is a page that is open. In the end it fails its test if the page asked another
// origin for something, threw an error, or did what its policy forbids.
type tab struct {
	t   *testing.T
	ctx context.Context

	mu      sync.Mutex
	origins []string // that it may ask
	faults  []string
}

// open opens an address in a new tab, after before was done.
func open(t *testing.T, address string, before ...chromedp.Action[chromedp.Void]) *tab {
	t.Helper()
	if browser == nil {
		t.Skip("there is no program chromium")
	}
	ctx, cancel := chromedp.NewContext(browser, chromedp.WithNewBrowserContext())
	t.Cleanup(cancel)
	at, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	p := &tab{t: t, ctx: ctx, origins: []string{at.Scheme + "://" + at.Host + "/", "data:"}}
	if err := chromedp.Listen(ctx, p.listen); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		for _, fault := range p.faults {
			t.Errorf("the page: got %s, want none", fault)
		}
	})
	p.do(command(network.Enable, network.EnableParams{}), command(log.Enable, cdp.Empty{}), command(runtime.Enable, cdp.Empty{}))
	p.do(before...)
	p.do(chromedp.Navigate(address))
	return p
}

// leaves lets the page go to another origin.
func (p *tab) leaves(address string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.origins = append(p.origins, strings.Join(strings.SplitN(address, "/", 4)[:3], "/")+"/")
}

func (p *tab) listen(event any) {
	p.mu.Lock()
	defer p.mu.Unlock()
	fault := ""
	switch e := event.(type) {
	case *network.EventRequestWillBeSent:
		if !slices.ContainsFunc(p.origins, func(o string) bool { return strings.HasPrefix(e.Request.URL, o) }) {
			fault = "a request for " + e.Request.URL
		}
	case *runtime.EventExceptionThrown:
		fault = "the error " + e.ExceptionDetails.Text
		if o := e.ExceptionDetails.Exception; o != nil {
			fault += " " + o.Description
		}
	case *log.EventEntryAdded:
		if e.Entry.Source == log.EntrySourceSecurity || strings.Contains(e.Entry.Text, "Content Security Policy") || strings.Contains(e.Entry.Text, "TrustedHTML") {
			fault = "a violation: " + e.Entry.Text
		}
	case *runtime.EventConsoleAPICalled:
		if e.Type == "error" {
			fault = "an error in the console"
		}
	}
	if fault != "" {
		p.faults = append(p.faults, fault)
	}
}

// command is a command of the protocol as an action.
func command[P, R any](c cdp.Command[P, R], params P) chromedp.Action[chromedp.Void] {
	return chromedp.Func(func(ctx context.Context, t *chromedp.Target) error {
		_, err := cdp.Call(ctx, t, c, params)
		return err
	})
}

func (p *tab) do(actions ...chromedp.Action[chromedp.Void]) {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(p.ctx, 2*soonEnough)
	defer cancel()
	if err := chromedp.Do(ctx, actions...); err != nil {
		p.t.Fatal(err)
	}
}

// value returns what an expression of JavaScript is.
func value[T any](p *tab, expression string) T {
	p.t.Helper()
	v, err := evaluate[T](p, expression)
	if err != nil {
		p.t.Fatalf("%s: %v", expression, err)
	}
	return v
}

func evaluate[T any](p *tab, expression string) (T, error) {
	ctx, cancel := context.WithTimeout(p.ctx, soonEnough)
	defer cancel()
	return chromedp.Run(ctx, chromedp.Evaluate[T](expression))
}

// until waits for an expression of JavaScript to be true, and does meanwhile, if it is
// given, before each look. The expression may have an error while the page is loaded.
func (p *tab) until(expression string, meanwhile ...func()) {
	p.t.Helper()
	for deadline := time.Now().Add(soonEnough); ; <-time.After(20 * time.Millisecond) {
		for _, do := range meanwhile {
			do()
		}
		is, err := evaluate[bool](p, "Boolean("+expression+")")
		if is && err == nil {
			return
		}
		if time.Now().After(deadline) {
			p.shoot("failed-" + p.t.Name())
			p.t.Fatalf("%s: got %v, %v for %v, want true; the page has %s", expression, is, err, soonEnough, value[string](p, "document.body.innerText.slice(0, 3000)"))
		}
	}
}

// row is an expression for the row of a name in the table.
func row(name string) string {
	return `[...document.querySelectorAll("#routes tbody tr")].find((tr) => tr.querySelector("button").textContent === "` + name + `")`
}

// state is an expression for the state of a name in the table.
func state(name string) string { return row(name) + `?.querySelector(".s").textContent` }

// choose clicks the row of a name.
func (p *tab) choose(name string) {
	p.t.Helper()
	p.until(row(name))
	value[bool](p, row(name)+".click() === undefined")
	p.until(`document.querySelector("#title").textContent === "` + name + `" && document.querySelectorAll("#charts canvas").length > 0`)
}

// shoot leaves a picture.
func (p *tab) shoot(name string) {
	p.t.Helper()
	dir := os.Getenv("PAGETEST_PICTURES")
	if dir == "" {
		dir = filepath.Join(os.TempDir(), "watchdogd-page")
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		p.t.Fatal(err)
	}
	beyond := true
	ctx, cancel := context.WithTimeout(p.ctx, soonEnough)
	defer cancel()
	picture, err := chromedp.Call(ctx, page.CaptureScreenshot, page.CaptureScreenshotParams{CaptureBeyondViewport: &beyond})
	if err != nil {
		p.t.Fatal(err)
	}
	file := filepath.Join(dir, strings.ReplaceAll(name, "/", "-")+".png")
	if err := os.WriteFile(file, picture.Data, 0o644); err != nil {
		p.t.Fatal(err)
	}
	p.t.Logf("a picture: %s, %d bytes", file, len(picture.Data))
}

// scheme makes the browser prefer light or dark.
func scheme(name string) chromedp.Action[chromedp.Void] {
	return command(emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: name}}})
}
