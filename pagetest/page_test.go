package pagetest

import (
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
)

// two is a stack of a server and a service.
const two = `
routes:
  - name: api
    path: /api
    fprocess: SELF
    ENV
services:
  - name: mailer
    fprocess: sleep 1000
`

func pageOf(d *daemon) string { return "http://" + d.admin + "/_/" }

func TestTheTableShowsWhatRuns(t *testing.T) {
	d := start(t, "", two)
	p := open(t, pageOf(d))
	p.until(state("api") + ` === "ready" && ` + state("mailer") + ` === "ready"`)
	if got := value[string](p, `[...document.querySelectorAll("#routes tbody tr button")].map((b) => b.textContent).join()`); got != "api,mailer" {
		t.Errorf("names: got %s, want them in the order of the file", got)
	}
	p.until(row("api")+`.cells[3].textContent !== "0" && `+row("api")+`.cells[4].textContent !== "0" && `+row("api")+`.cells[7].textContent.includes("s")`,
		func() { d.call("/api?fail", "") }) // the rates are those of the last second
	p.until(`/^[0-9.]+ MiB$/.test(` + row("api") + `.cells[11].textContent)`)
	p.until(`document.querySelector("#tiles li:nth-child(5) b").textContent === "2"`)
	p.choose("api")
	p.until(`document.querySelectorAll("#charts figure").length === 6 && document.querySelectorAll("#charts canvas").length === 6`)
	p.until(`/now .* at most/.test(document.querySelector(".rate .plot").getAttribute("aria-label"))`)
	p.until(`document.querySelectorAll("#lives tbody tr").length === 1 && document.querySelector("#lives tbody").textContent.includes("it runs")`)
	p.choose("mailer")
	if got := value[string](p, `[...document.querySelectorAll("#charts figure")].map((f) => f.className).join()`); got != "instances,memory,cpu" {
		t.Errorf("charts of a service: got %s, want those that it has", got)
	}
}

// The best of five kills counts: the machine may be busy. The pause before the next start is
// random, and may be none: so the start takes long enough to be seen.
func TestAStateChangesWithinASecondOfAKill(t *testing.T) {
	d := start(t, "", `
routes:
  - name: api
    path: /api
    fprocess: SELF
    env: {`+asServer+`: 3s}
    restart: {min: 3s}
`)
	p := open(t, pageOf(d))
	best := time.Hour
	for range 5 {
		p.until(state("api") + ` === "ready"`)
		value[bool](p, `(window.changed = 0, new MutationObserver((_, self) => {
			if (`+state("api")+` !== "ready") { window.changed = Date.now(); self.disconnect(); }
		}).observe(document.querySelector("#routes"), { subtree: true, childList: true, characterData: true }), true)`)
		pid := d.until("api", "an instance", func(p process) bool { return len(p.pids()) == 1 && p.State == "ready" }).pids()[0]
		killed := time.Now()
		if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
			t.Fatal(err)
		}
		p.until(`window.changed > 0`)
		took := time.UnixMilli(int64(value[float64](p, "window.changed"))).Sub(killed)
		t.Logf("a kill is seen after %v", took)
		if best = min(best, took); best < time.Second {
			break
		}
	}
	if best > time.Second {
		t.Errorf("got a change of state %v after a kill at best, want one within a second", best)
	}
	p.choose("api")
	p.until(`document.querySelector("#lives tbody").textContent.includes("killed")`)
	p.until(row("api") + `.querySelector("small:not(th small)").textContent.includes("next start in") || ` + state("api") + ` === "ready"`)
	p.until(`document.querySelector("#live").textContent.includes("api is ")`) // for screen readers
}

func TestTheButtonsDoWhatTheySay(t *testing.T) {
	d := start(t, "", two)
	p := open(t, pageOf(d))
	first := d.until("api", "an instance", func(p process) bool { return p.State == "ready" }).pids()[0]
	p.choose("api")
	press := func(what, answer string) {
		t.Helper()
		p.until(`!document.querySelector("#actions [data-do=` + what + `]").hidden && !document.querySelector("#actions").hidden`)
		p.do(chromedp.Click(chromedp.CSS(`#actions [data-do=` + what + `]`)))
		p.until(`document.querySelector("#sure").open`)
		if answer == "yes" && what == "scale" {
			value[bool](p, `(document.querySelector("#count").value = "3", true)`)
		}
		p.do(chromedp.Click(chromedp.CSS("#" + answer)))
		p.until(`!document.querySelector("#sure").open`)
	}
	press("stop", "no")
	press("restart", "yes")
	p.until(`document.querySelector("#done").textContent === "Restart api: done."`)
	second := d.until("api", "another instance", func(p process) bool { return p.State == "ready" && len(p.pids()) == 1 }).pids()[0]
	if first == second {
		t.Errorf("after Restart: got pid %d again, want another", second)
	}
	press("scale", "yes")
	d.until("api", "three instances", func(p process) bool { return p.State == "ready" && len(p.pids()) == 3 })
	p.until(row("api") + `.cells[9].textContent === "3"`)
	press("stop", "yes")
	d.until("api", "stopped", func(p process) bool { return p.State == "stopped" })
	p.until(state("api") + ` === "stopped"`)
	press("start", "yes")
	d.until("api", "ready", func(p process) bool { return p.State == "ready" })
	p.until(state("api") + ` === "ready"`)
	press("scale", "no")
	d.stop() // what is asked of a daemon that is gone is reported
	p.until(`document.body.classList.contains("stale")`)
	value[bool](p, `(act("stop", "api", "Stop"), true)`)
	p.until(`document.querySelector("#done.bad")?.textContent.startsWith("Stop api: the connection was lost")`)
	d.run()
}

// evil is a line that would do harm to a terminal, or to a page that made HTML of it.
const evil = `<script>document.title = "owned"</script><img src=x onerror="document.title='owned'"> &lt;b&gt; `

func TestALineOfTheLogStaysText(t *testing.T) {
	d := start(t, "", two)
	p := open(t, pageOf(d))
	d.until("api", "ready", func(p process) bool { return p.State == "ready" })
	p.choose("api")
	d.call("/api", evil+"\x1b]0;owned\x07\x1b[2J\x1b[31mred\x1b[0m\x00\xff\u202etxt.exe")
	p.until(`document.querySelector("#lines").textContent.includes("red")`)
	got := value[string](p, `[...document.querySelectorAll("#lines .text")].map((e) => e.textContent).find((l) => l.includes("red"))`)
	for _, want := range []string{evil, `\x1b]0;owned\x07\x1b[2Jred`, `\x00`, `\u202etxt.exe`} {
		if !strings.Contains(got, want) {
			t.Errorf("got the line %q, want in it %q", got, want)
		}
	}
	if n := value[int](p, `document.querySelectorAll("#lines script, #lines img, #lines b").length`); n != 0 {
		t.Errorf("got %d elements of the line, want none", n)
	}
	if title := value[string](p, `document.title`); title != "shop - watchdogd" {
		t.Errorf("title: got %q, want that of the page", title)
	}
	// All together has the line too, and a search finds it.
	value[bool](p, `(document.querySelector("#back").click(), true)`)
	p.until(`document.querySelector("#lines").textContent.includes("owned")`)
	p.do(chromedp.SendKeys(chromedp.CSS("#search"), "DOCUMENT.title"))
	p.until(`document.querySelectorAll("#lines div:not([hidden])").length === 1 && document.querySelectorAll("#lines mark").length === 2`)
	p.until(`/^1 of \d+ lines$/.test(document.querySelector("#found").textContent)`)
}

func TestRequestsCanBeShownAmongTheLines(t *testing.T) {
	d := start(t, "", two)
	p := open(t, pageOf(d))
	d.until("api", "ready", func(p process) bool { return p.State == "ready" })
	p.choose("api")
	d.call("/api/orders", "")
	p.do(chromedp.Click(chromedp.CSS("#requests")))
	p.until(`document.querySelector("#lines [data-stream=request]")?.textContent.includes("POST /api/orders 200")`)
}

func TestAThousandRoutes(t *testing.T) {
	var routes strings.Builder
	routes.WriteString("routes:\n")
	for i := range 1000 {
		fmt.Fprintf(&routes, "  - {name: route%d, path: /r%d, mode: static, root: .}\n", i, i)
	}
	d := start(t, "", routes.String())
	p := open(t, pageOf(d))
	p.until(`document.querySelectorAll("#routes tbody tr").length === 1000`)
	p.do(chromedp.SendKeys(chromedp.CSS("#filter"), "route77"))
	p.until(`document.querySelectorAll("#routes tbody tr:not([hidden])").length === 11`)
	p.choose("route777")
	d.call("/r777/", "")
	p.until(`document.querySelectorAll("#charts figure").length === 3`)
	p.until(row("route777") + `.cells[5].textContent !== ""`)
}

func TestAnOpenPageFindsARestartedDaemonAgain(t *testing.T) {
	d := start(t, "", two)
	p := open(t, pageOf(d))
	p.until(state("api") + ` === "ready"`)
	p.choose("api")
	p.until(`document.querySelector("#lines").textContent.includes("the server starts")`)
	d.stop()
	p.until(`document.querySelector("#link").dataset.link === "lost" && document.body.classList.contains("stale")`)
	d.run()
	p.until(`document.querySelector("#link").dataset.link === "live" && !document.body.classList.contains("stale")`)
	p.until(state("api") + ` === "ready" && document.querySelector("#title").textContent === "api"`)
	p.until(`document.querySelector("#done").textContent.includes("started again")`)
	d.call("/api", "after the restart")
	p.until(`document.querySelector("#lines").textContent.includes("after the restart")`)
}

func TestALoginTakesTheTokenAlone(t *testing.T) {
	d := start(t, "  token: sesame-open\n", two)
	p := open(t, pageOf(d))
	send := func(token string) {
		p.until(`document.querySelector("#token")`)
		p.do(chromedp.SendKeys(chromedp.CSS("#token"), token+kb.Enter))
	}
	send("sesame")
	p.until(`document.querySelector("[role=alert]")?.textContent === "This is not the token."`)
	send("sesame-open")
	p.until(state("api") + ` === "ready"`)
	if cookies := value[string](p, "document.cookie"); cookies != "" {
		t.Errorf("got the cookie %q in reach of scripts, want none", cookies)
	}
	d.stop()
	p.until(`document.querySelector("#link").dataset.link === "lost"`)
	d.run()
	p.until(`document.querySelector("#link").dataset.link === "live"`)
	if got := status(t, "POST", "http://"+d.admin+"/_/stop/api", nil); got != 403 && got != 401 {
		t.Errorf("an action without the token: got %d, want it refused", got)
	}
}

func TestBesideTheMetricsThePageIsForReading(t *testing.T) {
	d := start(t, "", two)
	p := open(t, "http://"+d.metrics+"/_/")
	p.until(state("api") + ` === "ready"`)
	p.choose("api")
	if got := value[bool](p, `document.querySelector("#actions").hidden && !document.querySelector("#logs")`); !got {
		t.Error("got actions or logs, want neither")
	}
	p.until(`document.querySelectorAll("#lives tbody tr").length === 1`)
	own := http.Header{"Sec-Fetch-Site": {"same-origin"}}
	for _, path := range []string{"/_/stop/api", "/_/restart/api", "/_/start/api", "/_/scale/api/3", "/v1/stop/api"} {
		if got := status(t, "POST", "http://"+d.metrics+path, own); got != 404 && got != 405 {
			t.Errorf("POST %s beside the metrics: got %d, want 404 or 405", path, got)
		}
	}
	for _, path := range []string{"/_/logs", "/v1/logs", "/v1/ps"} {
		if got := status(t, "GET", "http://"+d.metrics+path, own); got != 404 {
			t.Errorf("GET %s beside the metrics: got %d, want 404", path, got)
		}
	}
	if got := d.ps("api"); got.State != "ready" || len(got.pids()) != 1 {
		t.Errorf("got %+v, want the route as it was", got)
	}
	for _, path := range []string{"/_/", "/_/events", "/_/logs", "/_/history", "/_/ps/api"} {
		if got := status(t, "GET", "http://"+d.public+path, nil); got != 404 {
			t.Errorf("%s of the public listener: got %d, want 404", path, got)
		}
	}
}

func status(t *testing.T, method, url string, header http.Header) int {
	t.Helper()
	r, err := http.NewRequest(method, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	for name, values := range header {
		r.Header[name] = values
	}
	response, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	_ = response.Body.Close()
	return response.StatusCode
}

// The milliseconds are logged, and not tested: the machine may be busy. Beside them stand those of
// a page of one word.
func TestThePageIsSmall(t *testing.T) {
	d := start(t, "", `
routes:
  - {name: word, path: /, mode: static, root: .}
`)
	if err := os.WriteFile(filepath.Join(d.dir, "word.html"), []byte("<title>word</title>word"), 0o600); err != nil {
		t.Fatal(err)
	}
	p := open(t, pageOf(d))
	p.leaves("http://" + d.public + "/")
	painted := func(url string) float64 {
		p.do(chromedp.Navigate(url))
		p.until(`performance.getEntriesByName("first-contentful-paint").length === 1`)
		return value[float64](p, `performance.getEntriesByName("first-contentful-paint")[0].startTime`)
	}
	for range 5 {
		word := painted("http://" + d.public + "/word.html")
		ours := painted(pageOf(d))
		p.until(state("word") + ` === "ready"`)
		all := value[float64](p, `[...performance.getEntriesByType("navigation"), ...performance.getEntriesByType("resource")].reduce((n, e) => n + e.transferSize, 0)`)
		document := value[float64](p, `performance.getEntriesByType("navigation")[0].transferSize`)
		if document < 1000 || all > 150<<10 {
			t.Errorf("got %v bytes, %v of them the page, want at most 150 KiB", all, document)
		}
		t.Logf("first paint after %.0f ms, of a page of one word after %.0f ms; %.0f bytes, %.0f of them the page", ours, word, all, document)
	}
}

func TestTheKeyboardReachesEverything(t *testing.T) {
	d := start(t, "", two)
	p := open(t, pageOf(d))
	p.until(state("api") + ` === "ready" && ` + state("mailer") + ` === "ready"`)
	p.do(chromedp.KeyEvent("/"))
	p.until(`document.activeElement.id === "filter"`)
	value[bool](p, `(document.activeElement.value = "", arrange(), true)`) // the driver types the key all the same
	p.do(chromedp.KeyEvent(kb.Tab))                                        // to the headings of the table
	p.until(`document.activeElement.closest("thead")`)
	p.do(chromedp.KeyEvent(kb.Enter))
	p.until(`document.activeElement.closest("th").getAttribute("aria-sort") === "ascending"`)
	for range 11 {
		p.do(chromedp.KeyEvent(kb.Tab))
	}
	p.until(`document.activeElement.textContent === "api"`)
	p.do(chromedp.KeyEvent(kb.ArrowDown))
	p.until(`document.activeElement.textContent === "mailer"`)
	p.do(chromedp.KeyEvent(kb.Enter))
	p.until(`document.querySelector("#title").textContent === "mailer" && document.activeElement.id === "title"`)
	p.do(chromedp.KeyEvent(kb.Tab), chromedp.KeyEvent(kb.Enter)) // the first action
	p.until(`document.querySelector("#sure").open && document.activeElement.id === "no"`)
	p.do(chromedp.KeyEvent(kb.Escape))
	p.until(`!document.querySelector("#sure").open`)
	p.do(chromedp.KeyEvent(kb.Escape))
	p.until(`document.querySelector("#title").textContent === "All routes and services" && document.activeElement.textContent === "mailer"`)
	if got := d.ps("mailer"); got.State != "ready" {
		t.Errorf("after Escape: got %s, want nothing done", got.State)
	}
	if got := value[int](p, `[...document.querySelectorAll("button, input, [role=img], table, section")].filter((e) => !(e.textContent.trim() || e.getAttribute("aria-label") || e.labels?.[0]?.textContent.trim())).length`); got != 0 {
		t.Errorf("got %d controls or parts without a name, want none", got)
	}
}

func TestThePageFitsAPhoneAndFollowsTheScheme(t *testing.T) {
	d := start(t, "", several)
	d.until("api", "ready", func(p process) bool { return p.State == "ready" })
	for range 30 {
		for _, path := range []string{"/api", "/checkout?wait=5ms", "/upper", "/", "/api?fail"} {
			d.call(path, "")
		}
	}
	backgrounds := map[string]bool{}
	for _, c := range []struct {
		name, scheme  string
		width, height int64
	}{{"light", "light", 1280, 1000}, {"dark", "dark", 1280, 1000}, {"wide", "light", 1720, 1000}, {"phone", "dark", 360, 740}} {
		p := open(t, pageOf(d), chromedp.EmulateViewport(c.width, c.height), scheme(c.scheme))
		p.choose("api")
		p.until(`document.querySelectorAll("#lines div").length > 0 && document.querySelectorAll("#lives tbody tr").length === 2`)
		p.until(state("search") + ` === "crash-loop" && charts.data.at.length > 1`)
		if got := value[int](p, `document.documentElement.scrollWidth`); got > int(c.width) {
			t.Errorf("%s: got a page of %d pixels, want at most %d", c.name, got, c.width)
		}
		backgrounds[c.scheme+value[string](p, `getComputedStyle(document.body).backgroundColor`)] = true
		p.shoot(c.name)
	}
	if len(backgrounds) != 2 {
		t.Errorf("got the backgrounds %v, want one for each scheme", backgrounds)
	}
}

// several is a stack of all kinds of states.
const several = `
routes:
  - name: api
    path: /api
    fprocess: SELF
    ENV
    replicas: 2
  - name: checkout
    path: /checkout
    fprocess: SELF
    ENV
  - name: upper
    path: /upper
    mode: streaming
    fprocess: tr a-z A-Z
  - name: site
    path: /
    mode: static
    root: .
  - name: search
    path: /search
    fprocess: sh -c 'echo "index is missing"; exit 3'
services:
  - name: mailer
    fprocess: sh -c 'while sleep 1; do echo "sent one"; done'
`

func TestAReloadIsSeen(t *testing.T) {
	d := start(t, "", two)
	p := open(t, pageOf(d))
	p.choose("mailer")
	p.until(state("mailer") + ` === "ready"`)
	file := filepath.Join(d.dir, "watchdog.yaml")
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	changed := strings.Replace(string(text), "name: mailer", "name: postman", 1)
	changed = strings.Replace(changed, "services:\n", "  - {name: between, mode: static, root: .}\nservices:\n", 1)
	if err := os.WriteFile(file, []byte(changed), 0o600); err != nil {
		t.Fatal(err)
	}
	if got := status(t, "POST", "http://"+d.admin+"/v1/reload", nil); got != 200 {
		t.Fatalf("reload: got %d, want 200", got)
	}
	p.until(state("postman") + ` === "ready" && !` + row("mailer"))
	p.until(`[...document.querySelectorAll("#routes tbody th button")].map((b) => b.textContent).join(" ") === "api between postman"`)
	p.until(`document.querySelector("#title").textContent === "All routes and services" && document.querySelector("#done").textContent.includes("mailer is gone")`)
}

// Beside the metrics there may be sixteen clients, so that the admin listener has room.
func TestAPageTooManySaysSo(t *testing.T) {
	d := start(t, "", two)
	var all []net.Conn
	for range 16 {
		c, err := stream(d.metrics, "/_/events")
		if err != nil {
			t.Fatal(err)
		}
		if _, err := c.Read(make([]byte, 1)); err != nil { // it has its place
			t.Fatal(err)
		}
		all = append(all, c)
	}
	p := open(t, "http://"+d.metrics+"/_/")
	p.until(`document.querySelector("#link").textContent.includes("too many clients")`)
	q := open(t, pageOf(d))
	q.until(`document.querySelector("#link").dataset.link === "live"`)
	for _, c := range all {
		_ = c.Close()
	}
	p.until(`document.querySelector("#link").dataset.link === "live"`)
}

func TestAClientThatDoesNotReadKeepsNoOtherWaiting(t *testing.T) {
	d := start(t, "", two)
	for range 3 {
		c, err := stream(d.admin, "/_/events")
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = c.Close() }()
	}
	p := open(t, pageOf(d))
	p.until(state("api") + ` === "ready"`)
	d.call("/api", "hello")
	p.until(row("api") + `.cells[5].textContent !== ""`)
}
