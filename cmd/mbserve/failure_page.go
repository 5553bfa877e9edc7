package main

import (
	"fmt"
	"html"

	"moonbridge/handler"
	"moonbridge/handler/backend"
)

// With --dev, the browser shows a failed reload: a developer who saw the old application would wonder why a change has
// no effect. The old workers keep running, as do timers and raw connections.

// failurePage is the backend of HTTP listeners while the script is broken.
type failurePage struct{ backend.Backend }

// newFailurePage makes the page for an error's text. sources is HTML.
func newFailurePage(script, text, sources string) *failurePage {
	page := fmt.Appendf(nil, `<!DOCTYPE html>
<html lang="en">
<head><meta charset="utf-8"><meta http-equiv="refresh" content="2"><title>Script not loaded</title>
<style>body{font-family:sans-serif;margin:2em;color:#222;background:#fff}h1{font-size:1.2em;color:#a00}
h2{font-size:1em}b{background:#fdd}pre{background:#f4f4f4;padding:.8em;white-space:pre-wrap}p{color:#666}</style></head>
<body>
<h1>%s could not be loaded</h1>
<pre>%s</pre>
%s<p>This page is shown because mbserve runs with --dev. It refreshes every two seconds.</p>
</body>
</html>
`, html.EscapeString(script), html.EscapeString(text), sources)
	return &failurePage{handler.OnLoop(handler.Func(func(w *handler.Response, r *handler.Request) {
		w.SetStatus(500)
		w.Set("Content-Type", "text/html; charset=utf-8")
		w.Set("Cache-Control", "no-store")
		w.Set("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'")
		w.Write(page)
	}))}
}

// showFailure makes all HTTP listeners answer with the reason why the script could not be loaded.
func (s *server) showFailure(err error) {
	s.mu.Lock()
	g := s.serving
	s.mu.Unlock()
	before := s.failure
	s.failure = newFailurePage(s.o.script, errorText(err), sourcesOf(errorText(err), s.files.find))
	for n, ls := range g.listeners {
		for i, l := range ls {
			if l.at == nil || l.spec.Raw() {
				continue
			}
			if err := s.engine.Serve(l.at.ln, s.failure, i, g.limits(n, l.spec)); err != nil {
				s.log.Error("cannot show the failure to clients", "err", err)
			}
		}
	}
	s.detachFailure(before)
}

// failureOver is called when a script has been loaded and serves its listeners again.
func (s *server) failureOver() {
	s.detachFailure(s.failure)
	s.failure = nil
}

func (s *server) detachFailure(p *failurePage) {
	if p != nil {
		s.engine.Detach(p)
	}
}
