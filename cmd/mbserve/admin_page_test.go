package main

import (
	"bufio"
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"image/png"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"
)

// browser is Chromium, driven over its debugging pipe.
type browser struct {
	t       *testing.T
	to      *os.File
	from    *bufio.Reader
	session string
	last    int
}

// openPage starts Chromium and opens a page. The test is skipped if it is not installed.
func openPage(t *testing.T, url string, options ...string) *browser {
	t.Helper()
	program, err := exec.LookPath("chromium")
	if err != nil {
		t.Skip("chromium is not installed")
	}
	theirIn, ourOut, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	ourIn, theirOut, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(program, append(options, "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--remote-debugging-pipe",
		"--user-data-dir="+t.TempDir(), "--window-size=1280,1400", "--no-first-run", "--disable-background-networking", "about:blank")...)
	cmd.ExtraFiles = []*os.File{theirIn, theirOut} // descriptors 3 and 4
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	theirIn.Close()
	theirOut.Close()
	b := &browser{t: t, to: ourOut, from: bufio.NewReader(ourIn)}
	ourIn.SetReadDeadline(time.Now().Add(3 * patience))
	t.Cleanup(func() {
		b.session = ""
		b.post("Browser.close", nil)
		kill := time.AfterFunc(patience, func() { cmd.Process.Kill() })
		cmd.Wait()
		kill.Stop()
		ourOut.Close()
		ourIn.Close()
	})
	var target struct{ TargetID string }
	b.call("Target.createTarget", map[string]any{"url": "about:blank"}, &target)
	var attached struct{ SessionID string }
	b.call("Target.attachToTarget", map[string]any{"targetId": target.TargetID, "flatten": true}, &attached)
	b.session = attached.SessionID
	b.call("Page.enable", nil, nil)
	b.call("Page.navigate", map[string]any{"url": url}, nil)
	return b
}

// post sends a command, and returns its number.
func (b *browser) post(method string, params any) int {
	b.last++
	m := map[string]any{"id": b.last, "method": method}
	if params != nil {
		m["params"] = params
	}
	if b.session != "" {
		m["sessionId"] = b.session
	}
	text, err := json.Marshal(m)
	if err != nil {
		b.t.Fatal(err)
	}
	b.to.Write(append(text, 0))
	return b.last
}

// call sends a command and waits for its result.
func (b *browser) call(method string, params, result any) {
	b.t.Helper()
	if failed := b.try(method, params, result); failed != "" {
		b.t.Fatalf("%s: %s", method, failed)
	}
}

// try is call for a command that may fail. It returns the browser's message.
func (b *browser) try(method string, params, result any) (failed string) {
	b.t.Helper()
	id := b.post(method, params)
	for {
		text, err := b.from.ReadBytes(0)
		if err != nil {
			b.t.Fatalf("%s: %v", method, err)
		}
		var m struct {
			ID     int
			Result json.RawMessage
			Error  *struct{ Message string }
		}
		if err := json.Unmarshal(text[:len(text)-1], &m); err != nil {
			b.t.Fatal(err)
		}
		switch {
		case m.ID != id: // an event
		case m.Error != nil:
			return m.Error.Message
		case result == nil:
			return ""
		default:
			if err := json.Unmarshal(m.Result, result); err != nil {
				b.t.Fatal(err)
			}
			return ""
		}
	}
}

// eval returns the value of an expression as text.
func (b *browser) eval(expression string) string {
	b.t.Helper()
	value, failed := b.tryEval(expression)
	if failed != "" {
		b.t.Fatalf("%s: %s", expression, failed)
	}
	return value
}

// tryEval is eval for a page that may give way to another one meanwhile. Then it returns the browser's message.
func (b *browser) tryEval(expression string) (value, failed string) {
	b.t.Helper()
	var r struct {
		Result           struct{ Value any }
		ExceptionDetails *struct {
			Exception struct{ Description string }
		}
	}
	if failed = b.try("Runtime.evaluate", map[string]any{"expression": expression, "returnByValue": true}, &r); failed != "" {
		return "", failed
	}
	if r.ExceptionDetails != nil {
		b.t.Fatalf("%s: %s", expression, r.ExceptionDetails.Exception.Description)
	}
	return fmt.Sprint(r.Result.Value), ""
}

// until waits until an expression is true. On a page that is not there yet, it may throw.
func (b *browser) until(expression string) {
	b.t.Helper()
	safe := fmt.Sprintf("(() => { try { return %s } catch { return false } })()", expression)
	eventually(b.t, expression, func() bool {
		value, _ := b.tryEval(safe)
		return value == "true"
	})
}

// click clicks the middle of the first element that a selector finds.
func (b *browser) click(selector string) {
	b.t.Helper()
	var at struct{ X, Y float64 }
	text := b.eval(fmt.Sprintf(`(() => { const e = document.querySelector(%q); e.scrollIntoView({block: "center"});
		const r = e.getBoundingClientRect(); return JSON.stringify({x: r.x + r.width / 2, y: r.y + r.height / 2}) })()`, selector))
	if err := json.Unmarshal([]byte(text), &at); err != nil {
		b.t.Fatalf("%s: %v", text, err)
	}
	for _, kind := range []string{"mousePressed", "mouseReleased"} {
		b.call("Input.dispatchMouseEvent", map[string]any{"type": kind, "x": at.X, "y": at.Y, "button": "left", "clickCount": 1}, nil)
	}
}

// brightness takes a picture of the page, and returns how bright it is on average, from 0 to 1, and how many colours it has. If
// MBSERVE_SHOTS is a directory, the picture is kept there.
func (b *browser) brightness(name string) (mean float64, colours int) {
	b.t.Helper()
	var shot struct{ Data string }
	b.call("Page.captureScreenshot", map[string]any{"format": "png", "captureBeyondViewport": true}, &shot)
	raw, err := base64.StdEncoding.DecodeString(shot.Data)
	if err != nil {
		b.t.Fatal(err)
	}
	if dir := os.Getenv("MBSERVE_SHOTS"); dir != "" {
		if err := os.WriteFile(dir+"/"+name+".png", raw, 0o644); err != nil {
			b.t.Error(err)
		}
	}
	img, err := png.Decode(bytes.NewReader(raw))
	if err != nil {
		b.t.Fatal(err)
	}
	seen, n, sum := map[[3]uint32]bool{}, 0, 0.0
	for y := img.Bounds().Min.Y; y < img.Bounds().Max.Y; y += 3 {
		for x := img.Bounds().Min.X; x < img.Bounds().Max.X; x += 3 {
			red, green, blue, _ := img.At(x, y).RGBA()
			seen[[3]uint32{red >> 10, green >> 10, blue >> 10}] = true
			sum += float64(red+green+blue) / (3 * 0xffff)
			n++
		}
	}
	return sum / float64(n), len(seen)
}

// The page shows what happens while it happens, and its buttons work.
func TestStatusPage(t *testing.T) {
	t.Parallel()
	s := startWatched(t, "false")
	b := openPage(t, s.admin("/status"))
	b.until(`document.getElementById("ready").textContent === "ready"`)
	b.until(`document.querySelectorAll(".worker").length === 2`)
	for range 20 {
		get(t, s.url("/ok"))
	}
	status(t, "GET", s.url("/error"))
	var all sync.WaitGroup
	defer all.Wait()
	defer s.release()
	all.Go(func() {
		if got := status(t, "GET", s.url("/hangs?secret=1")); got != 204 {
			t.Errorf("status %d", got)
		}
	})
	b.until(`document.querySelector("#slow td.what")?.textContent === "GET /hangs"`)
	b.until(`document.querySelector("#errors .ERROR") !== null`)
	b.until(`[...document.querySelectorAll(".tile")].some(e => e.textContent === "requests21")`)
	b.until(`document.querySelector("#timers td").textContent === "cleanup"`)
	b.until(`[...document.querySelectorAll("#plots path")].some(p => p.getAttribute("d").includes("L"))`)
	if text := b.eval(`document.body.textContent`); strings.Contains(text, "secret=1") {
		t.Error("the page shows the query of a request")
	}

	light, colours := b.brightness("light")
	if light < 0.7 || colours < 20 {
		t.Errorf("in light colours: brightness %.2f, %d colours", light, colours)
	}
	b.click("#theme")
	b.until(`document.documentElement.classList.contains("dark")`)
	if dark, colours := b.brightness("dark"); dark > 0.3 || colours < 20 {
		t.Errorf("in dark colours: brightness %.2f, %d colours", dark, colours)
	}

	// A worker, and an error, show more when they are clicked, and still do after the next status.
	b.until(`(window.busy = last.pools[0].workers.find(w => w.doing)) !== undefined`) // a loop that is late is left out
	b.click(`.worker[data-pid="` + b.eval(`busy.pid`) + `"]`)
	b.until(`document.querySelector(".detail")?.textContent.includes("GET /hangs for")`)
	b.click("#errors summary")
	b.until(`document.querySelector("#errors details").open && document.querySelector("#errors pre").textContent.includes("stack traceback")`)
	now := b.eval(`last.now`)
	b.until(`last.now > "` + now + `" && document.querySelector("#errors details").open && document.querySelector(".detail") !== null`)
	b.click("#long")
	b.until(`document.getElementById("long").getAttribute("aria-pressed") === "true" && document.querySelector("#plots").textContent.includes("10 min")`)
	b.brightness("details")

	// While it is paused, nothing changes.
	b.click("#pause")
	b.until(`paused`)
	before := b.eval(`document.getElementById("process").textContent`)
	now = b.eval(`last.now`)
	b.until(`last.now > "` + now + `"`)
	if after := b.eval(`document.getElementById("process").textContent`); after != before {
		t.Errorf("paused: %q, then %q", before, after)
	}
	b.click("#pause")
	b.until(`document.getElementById("process").textContent !== ` + fmt.Sprintf("%q", before))
	if n := b.eval(`performance.getEntriesByType("resource").filter(r => !r.name.startsWith(location.origin)).length`); n != "0" {
		t.Errorf("%s requests to other hosts", n)
	}
}
