package main

import (
	"net"
	"strconv"

	"moonbridge/handler"
	"moonbridge/handler/backend"
)

const (
	statusPermanentRedirect = 308
	statusBadRequest        = 400
	statusNotFound          = 404

	portHTTP, portHTTPS = 80, 443
)

// redirectTo answers every request with a redirection to the same address by https, on a port.
func redirectTo(port int) backend.Backend {
	return handler.Config{}.OnLoop(handler.Func(func(w *handler.Response, r *handler.Request) {
		host := hostOf(string(r.Host()))
		if host == "" || r.Asterisk() {
			w.Error(statusBadRequest)
			return
		}
		if port != portHTTPS {
			host = net.JoinHostPort(host, strconv.Itoa(port))
		} else if isIPv6(host) {
			host = "[" + host + "]"
		}
		location := "https://" + host + "/" + string(r.Path())
		if q := r.Query(); len(q) > 0 {
			location += "?" + string(q)
		}
		if w.SetStatus(statusPermanentRedirect) != nil || w.Set("Location", location) != nil {
			w.Error(statusBadRequest)
		}
	}))
}

// hostOf is the host of a Host field without its port, or nothing if there is none.
func hostOf(field string) string {
	if host, _, err := net.SplitHostPort(field); err == nil {
		return host
	}
	if n := len(field); n > 2 && field[0] == '[' && field[n-1] == ']' {
		return field[1 : n-1]
	}
	return field
}

func isIPv6(host string) bool { ip := net.ParseIP(host); return ip != nil && ip.To4() == nil }
