package pagetest

import (
	"bytes"
	"flag"
	"image/png"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
)

var pictureOf = flag.Duration("picture", 0, "serve examples/00-start with requests for so long, and draw docs/page.png")

// docs/page.png is the page of examples/00-start, with ten minutes of requests and a crash now
// and then. "make picture" draws it; that takes too long for a test.
func TestThePictureOfThePageIsThere(t *testing.T) {
	const file = "../docs/page.png"
	if *pictureOf > 0 {
		drawPage(t, file, *pictureOf)
	}
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	drawn, err := png.DecodeConfig(bytes.NewReader(data))
	if err != nil || drawn.Width != 1280 || drawn.Height < 700 || len(data) > 150<<10 {
		t.Errorf("got %v, a picture of %d x %d in %d bytes, want one of 1280 x 700 or more in 150 KiB", err, drawn.Width, drawn.Height, len(data))
	}
}

func drawPage(t *testing.T, file string, length time.Duration) {
	t.Helper()
	text, err := os.ReadFile("../examples/00-start/watchdog.yaml")
	if err != nil {
		t.Fatal(err)
	}
	dir, err := filepath.Abs("../examples/00-start")
	if err != nil {
		t.Fatal(err)
	}
	routes := strings.NewReplacer("root: public", "root: "+dir+"/public", "python3 api.py", "python3 "+dir+"/api.py", "./migrate.sh", dir+"/migrate.sh").Replace(string(text))
	d := start(t, "", routes)
	d.until("api", "ready", func(p process) bool { return p.State == "ready" })
	drawn, over := make(chan struct{}), make(chan struct{})
	go func() { // the requests go on while the picture is taken
		defer close(over)
		tick := time.NewTicker(100 * time.Millisecond)
		defer tick.Stop()
		for n := 1; ; n++ {
			for range 1 + n/10%7 + n/60%5 { // waves
				d.get(t, "/api/prices")
			}
			if n%3 == 0 {
				d.get(t, "/")
			}
			if n%4 == 0 {
				d.get(t, "/shout")
			}
			if n%1500 == 1000 {
				d.get(t, "/api/crash")
			}
			select {
			case <-drawn:
				return
			case <-tick.C:
			}
		}
	}()
	<-time.After(length)
	p := open(t, pageOf(d), chromedp.EmulateViewport(1280, 900), scheme("light"))
	p.choose("api")
	p.until(`document.querySelectorAll("#lines div").length > 0 && charts.data.at.length > 3`)
	t.Setenv("PAGETEST_PICTURES", filepath.Dir(file))
	p.shoot("page")
	close(drawn)
	<-over
	// fewer colours, where ImageMagick is there
	if convert, err := exec.LookPath("convert"); err == nil {
		if out, err := exec.Command(convert, file, "+dither", "-colors", "128", "-strip", "PNG8:"+file).CombinedOutput(); err != nil {
			t.Errorf("convert: got %v: %s, want fewer colours", err, out)
		}
	}
}

// get sends a GET to the public listener.
func (d *daemon) get(t *testing.T, path string) {
	t.Helper()
	response, err := http.Get("http://" + d.public + path)
	if err != nil {
		t.Errorf("GET %s: got %v, want a response", path, err)
		return
	}
	_ = response.Body.Close() // the head is all that counts
}
