package main

import (
	"fmt"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// window opens another page in the same browser.
func (b *browser) window(url string) *browser {
	b.t.Helper()
	w := &browser{t: b.t, to: b.to, from: b.from, last: b.last + 1_000_000}
	var target struct{ TargetID string }
	w.call("Target.createTarget", map[string]any{"url": "about:blank", "newWindow": true}, &target)
	var attached struct{ SessionID string }
	w.call("Target.attachToTarget", map[string]any{"targetId": target.TargetID, "flatten": true}, &attached)
	w.session = attached.SessionID
	w.call("Page.enable", nil, nil)
	w.call("Page.navigate", map[string]any{"url": url}, nil)
	return w
}

// Two windows follow the chat of the example application while it is reloaded and its process is replaced. Each of them has every
// message once.
func TestExampleChatInBrowser(t *testing.T) {
	t.Parallel()
	wantModules(t, "bit", "ffi")
	pidName := filepath.Join(t.TempDir(), "pid")
	s := start(t, "-p", pidName, example("example.lua"), "0")
	one := openPage(t, s.url("/chat"))
	one.until(`document.querySelector("form[action='/chat/name'] input") !== null`)
	one.eval(`(() => { const f = document.querySelector("form[action='/chat/name']"); f.elements.name.value = "Selene"; f.requestSubmit() })()`)
	one.until(`document.getElementById("name").textContent === "Selene"`)
	two := one.window(s.url("/chat"))
	both := []*browser{one, two}
	opened := func(times int) {
		t.Helper()
		for _, b := range both {
			b.until(fmt.Sprintf(`document.getElementById("chat").dataset.opens >= %d && document.getElementById("chat-state").value === "connected"`, times))
		}
	}
	opened(1)
	var want []string
	shown := func() {
		t.Helper()
		for _, b := range both {
			b.until(fmt.Sprintf(`document.querySelectorAll("#messages li").length >= %d`, len(want)))
		}
	}
	say := func(text string) {
		t.Helper()
		b := both[len(want)%2]
		b.eval(fmt.Sprintf(`(() => { const f = document.getElementById("say"); f.elements.text.value = %q; f.requestSubmit() })()`, text))
		want = append(want, "Selene "+text)
		shown()
	}
	say("<b>first</b>")
	say("second")
	s.signal(syscall.SIGHUP)
	s.wait("msg=reloaded", "generation=1")
	say("after the reload")
	if got := one.eval(`document.getElementById("chat").dataset.opens`); got != "1" {
		t.Errorf("a reload has cut the stream: connected %s times", got)
	}
	pid := replaceProcess(t, s.pid(), pidName)
	say("while they connect again")
	opened(2)
	say("after the replacement")
	for i, b := range both {
		got := b.eval(`[...document.querySelectorAll("#messages li")].map(e => e.textContent).join("|")`)
		if got != strings.Join(want, "|") {
			t.Errorf("window %d has %q, want %q", i+1, got, want)
		}
		b.until(`document.getElementById("chart").dataset.points >= 2 && document.getElementById("chart-windows").getAttribute("points").includes(" ")`)
	}
	if light, colours := one.brightness("chat"); light == 0 || colours < 10 {
		t.Errorf("the page: brightness %.2f, %d colours", light, colours)
	}
	s.awaitExit()
	s.endOf(pid)
}

// Who may write, and what.
func TestExampleChat(t *testing.T) {
	t.Parallel()
	s := startApplication(t)
	const form = "application/x-www-form-urlencoded"
	if resp, _ := answer(t, "POST", s.url("/chat"), form, "text=hello"); resp.StatusCode != 403 {
		t.Errorf("without a name: %s", resp.Status)
	}
	if resp, _ := answer(t, "POST", s.url("/chat/name"), form, "name=a.b"); resp.StatusCode != 400 {
		t.Errorf("a wrong name: %s", resp.Status)
	}
	resp, _ := answer(t, "POST", s.url("/chat/name"), form, "name=Ada")
	if resp.StatusCode != 303 || len(resp.Cookies()) != 1 {
		t.Fatalf("a name: %v", resp)
	}
	cookie := resp.Cookies()[0]
	if _, text := pageOf(t, s.url("/chat"), "Cookie", "chat="+cookie.Value); !strings.Contains(text, `<span id="name">Ada</span>`) {
		t.Errorf("the page with a name: %s", text)
	}
	if _, text := pageOf(t, s.url("/chat"), "Cookie", "chat=Bob"+strings.TrimPrefix(cookie.Value, "Ada")); strings.Contains(text, "Bob") {
		t.Error("a forged name is taken")
	}
}
