package luahttp

import (
	"strings"
	"testing"

	"moonbridge/handler/pool/listen"
)

// What can be served, and why the rest cannot. That the rest is served, and carried out, is tested with the program examples/go/both.
func TestCheck(t *testing.T) {
	http := listen.Listener{Proto: "tcp4", HTTP: &listen.HTTPOptions{}}
	with := func(change func(*listen.Listener)) []listen.Listener {
		l := http
		change(&l)
		return []listen.Listener{l}
	}
	options := listen.Options{FloodPenalty: true}
	for _, tt := range []struct {
		name string
		n    int
		spec listen.Spec
		want string
	}{
		{"HTTP", 0, listen.Spec{Options: options, Listeners: []listen.Listener{http}}, ""},
		{"a second call", 1, listen.Spec{Options: options, Listeners: []listen.Listener{http}}, "exactly one listener"},
		{"no listener", 0, listen.Spec{Options: options}, "exactly one listener"},
		{"two listeners", 0, listen.Spec{Options: options, Listeners: []listen.Listener{http, http}}, "exactly one listener"},
		{"raw", 0, listen.Spec{Options: options, Listeners: with(func(l *listen.Listener) { l.HTTP = nil })}, "exactly one listener"},
		{"a timer", 0, listen.Spec{Options: options, Listeners: []listen.Listener{{Proto: "interval"}}}, "exactly one listener"},
		{"the PROXY protocol", 0, listen.Spec{Options: options, Listeners: with(func(l *listen.Listener) { l.ProxyProtocol = true })}, ""},
		{"fields", 0, listen.Spec{Options: options, Listeners: with(func(l *listen.Listener) { l.HTTP = &listen.HTTPOptions{StaticHeaders: "A: b\r\n"} })}, ""},
		{"TLS", 0, listen.Spec{Options: options, Listeners: with(func(l *listen.Listener) { l.TLS = &listen.TLS{}; l.ProxyProtocol = true })}, "does not support tls"},
		{"a redirection", 0, listen.Spec{Options: options, Listeners: with(func(l *listen.Listener) { l.HTTP, l.RedirectHTTPS = nil, 443 })}, "does not support redirect_https"},
		{"two options", 0, listen.Spec{Options: listen.Options{Selftest: true}, Listeners: []listen.Listener{http}}, "does not support selftest, flood_penalty"},
	} {
		err := check(tt.n, &tt.spec)
		if tt.want == "" && err != nil || tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)) {
			t.Errorf("%s: %v, want %q", tt.name, err, tt.want)
		}
	}
}
