// Picture makes the picture of the page that the README shows: it runs a small shop with
// watchdogd, sends it requests for some minutes, and takes a screenshot in Chromium.
//
//	make build && cd pagetest && go run ./picture -o ../docs/page.webp
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log"
	"math"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"time"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/chromedp"
)

var (
	output   = flag.String("o", "page.webp", "the picture, .webp or .png")
	program  = flag.String("watchdogd", "../bin/watchdogd", "the watchdogd that is shown")
	duration = flag.Duration("d", 5*time.Minute, "how long requests are sent before the picture is taken")
	scheme   = flag.String("scheme", "light", "light or dark")
	width    = flag.Int64("width", 1200, "pixels")
	height   = flag.Int64("height", 800, "pixels")
)

const shop = `
name: shop
server: {listen: %q}
admin: {listen: %q}
routes:
  - {name: api, path: /api, fprocess: python3 server.py, replicas: 2}
  - {name: checkout, path: /checkout, fprocess: python3 server.py}
  - {name: search, path: /search, fprocess: "sh -c 'echo cannot open index.db; exit 3'"}
  - {name: thumbnail, path: /thumbnail, mode: streaming, fprocess: "tr a-z A-Z"}
  - {name: site, path: /, mode: static, root: public}
services:
  - {name: mailer, fprocess: "sh -c 'while sleep 2; do echo sent an invoice; done'"}
`

const server = `
import os, random, time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def do_GET(self):
        time.sleep(random.expovariate(60) if "checkout" in os.environ.get("WATCHDOG_ROUTE", self.path) else random.expovariate(400))
        self.send_response(500 if random.random() < 0.01 else 200)
        self.send_header("Content-Length", "3")
        self.end_headers()
        self.wfile.write(b"ok\n")
    def log_message(self, format, *args):
        if random.random() < 0.02: print("order", random.randrange(1000, 9999), "is paid", flush=True)

ThreadingHTTPServer(("127.0.0.1", int(os.environ["PORT"])), Handler).serve_forever()
`

func main() {
	log.SetFlags(0)
	flag.Parse()
	if err := run(); err != nil {
		log.Fatalf("picture: %v", err)
	}
}

func run() error {
	dir, err := os.MkdirTemp("", "picture")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	public, err := free()
	if err != nil {
		return err
	}
	admin, err := free()
	if err != nil {
		return err
	}
	if err := errors.Join(
		os.Mkdir(filepath.Join(dir, "public"), 0o755),
		os.WriteFile(filepath.Join(dir, "public", "index.html"), []byte("<h1>The shop</h1>\n"), 0o644),
		os.WriteFile(filepath.Join(dir, "server.py"), []byte(server), 0o644),
		os.WriteFile(filepath.Join(dir, "watchdog.yaml"), fmt.Appendf(nil, shop, public, admin), 0o644),
	); err != nil {
		return err
	}
	path, err := filepath.Abs(*program)
	if err != nil {
		return err
	}
	daemon := exec.Command(path)
	daemon.Dir = dir
	if err := daemon.Start(); err != nil {
		return err
	}
	defer func() { _ = daemon.Wait() }() // it was asked to end
	defer func() { _ = daemon.Process.Signal(os.Interrupt) }()

	ctx, cancel := context.WithTimeout(context.Background(), *duration+time.Minute)
	defer cancel()
	loading, enough := context.WithCancel(ctx)
	var all sync.WaitGroup
	defer all.Wait()
	defer enough()
	for path, rate := range map[string]float64{"/api/orders": 40, "/checkout": 8, "/thumbnail": 5, "/": 15} {
		all.Go(func() { load(loading, "http://"+public+path, rate) })
	}
	select {
	case <-time.After(*duration):
	case <-ctx.Done():
		return ctx.Err()
	}
	return shoot(ctx, "http://"+admin+"/_/")
}

func free() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	defer func() { _ = l.Close() }()
	return l.Addr().String(), nil
}

// load sends about rate requests a second, in waves.
func load(ctx context.Context, url string, rate float64) {
	for began := time.Now(); ; {
		wave := 1 + 0.6*math.Sin(time.Since(began).Seconds()/25+rate)
		select {
		case <-ctx.Done():
			return
		case <-time.After(time.Duration(rand.ExpFloat64() / (rate * wave) * float64(time.Second))):
		}
		if response, err := http.Get(url); err == nil {
			_ = response.Body.Close()
		}
	}
}

// shoot takes the picture, with the first route chosen.
func shoot(ctx context.Context, url string) error {
	options := append(chromedp.DefaultExecAllocatorOptions[:], chromedp.NoSandbox, chromedp.WindowSize(int(*width), int(*height)))
	ctx, end := chromedp.NewExecAllocator(ctx, options...)
	defer end()
	ctx, closeTab := chromedp.NewContext(ctx)
	defer closeTab()
	dark := emulation.SetEmulatedMediaParams{Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: *scheme}}}
	if _, err := chromedp.Call(ctx, emulation.SetEmulatedMedia, dark); err != nil {
		return err
	}
	if err := chromedp.Do(ctx,
		chromedp.EmulateViewport(*width, *height), chromedp.Navigate(url),
		chromedp.WaitVisible(chromedp.CSS("#routes tbody tr")), chromedp.Click(chromedp.CSS("#routes tbody tr button")),
	); err != nil {
		return err
	}
	time.Sleep(12 * time.Second) // the last values of each column
	params := page.CaptureScreenshotParams{Format: page.CaptureScreenshotFormatPng}
	if filepath.Ext(*output) == ".webp" {
		quality := int64(80)
		params.Format, params.Quality = page.CaptureScreenshotFormatWebp, &quality
	}
	picture, err := chromedp.Call(ctx, page.CaptureScreenshot, params)
	if err != nil {
		return err
	}
	fmt.Printf("%s: %d bytes\n", *output, len(picture.Data))
	return os.WriteFile(*output, picture.Data, 0o644)
}
