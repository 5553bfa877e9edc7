package engine

import (
	"testing"

	"moonbridge/handler/backend"
)

const earlyHints = "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n"

// After interim responses the client still waits for its 100, in whatever pieces they are output.
func TestContinueAfterInterim(t *testing.T) {
	const head = "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 4\r\nExpect: 100-continue\r\n\r\n"
	const continued = "HTTP/1.1 100 Continue\r\n\r\n"
	for cut := 0; cut <= len(earlyHints); cut++ {
		d := newDialogue(t, Limits{})
		d.handler.window = 100
		d.peer.says(head)
		d.handler.outputs(earlyHints[:cut], false)
		if within := cut > 0 && cut < len(earlyHints); within {
			d.handler.x.BodyWanted()
			d.peer.hearsText(earlyHints[:cut])
			d.handler.outputs(earlyHints[cut:], false)
			d.peer.hearsText(earlyHints[cut:] + continued)
		} else {
			d.handler.outputs(earlyHints[cut:], false)
			d.handler.x.BodyWanted()
			d.peer.hearsText(earlyHints + continued)
		}
		d.handler.x.BodyWanted()
		d.peer.hearsNothing()
		d.handler.outputs(earlyHints, false)
		d.peer.hearsText(earlyHints)
		d.peer.says("body")
		d.handler.answers("thanks")
		d.peer.hears(200, "thanks")
		d.is(stateIdle)
	}
}

// No 100 follows the start of a final response, even if interim ones came before it.
func TestNoContinueAfterFinal(t *testing.T) {
	d := newDialogue(t, Limits{})
	d.peer.says("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 4\r\nExpect: 100-continue\r\n\r\n")
	d.handler.outputs(earlyHints+response("no thanks"), true)
	d.handler.x.BodyWanted()
	d.handler.ends(backend.EndKeep)
	d.peer.hearsText(earlyHints + response("no thanks"))
	d.peer.hearsEnd()
}

// An interim response does not begin the response: the engine can still answer, except in the middle of one.
func TestFailedAfterInterim(t *testing.T) {
	for cut := 1; cut <= len(earlyHints); cut++ {
		d := newDialogue(t, Limits{})
		d.peer.says(get("/"))
		d.handler.outputs(earlyHints[:cut], false)
		d.peer.hearsText(earlyHints[:cut])
		d.handler.fails(502)
		if cut < len(earlyHints) {
			d.peer.wantsReset()
			continue
		}
		d.peer.hears(502, "")
		d.is(stateIdle)
	}
	for name, text := range map[string]string{
		"final after interim": earlyHints + "HTTP/1.1 200 OK\r\n",
		"switching protocols": "HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: Upgrade\r\n\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			d := newDialogue(t, Limits{})
			d.peer.says(get("/"))
			d.handler.outputs(text, false)
			d.handler.fails(502)
			d.peer.wantsReset()
		})
	}
}

// The next exchange of a connection starts without the interim responses of the last one.
func TestInterimEndsWithTheExchange(t *testing.T) {
	d := newDialogue(t, Limits{})
	for range 2 {
		d.peer.says(get("/"))
		d.handler.outputs(earlyHints, false)
		d.handler.answers("a")
		d.peer.hearsText(earlyHints + response("a"))
	}
	d.peer.says(get("/"))
	d.handler.fails(502)
	d.peer.hears(502, "")
}
