package acme

import (
	"net"
	"net/http"
	"strings"

	"github.com/caddyserver/certmagic"
)

// ChallengePath is where authorities ask over HTTP (RFC 8555 §8.3).
const ChallengePath = "/.well-known/acme-challenge/"

// ServeHTTP answers the challenges of authorities. Anything else is not found.
func (s *Keepers) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if k := s.keeping(hostOf(r.Host)); k != nil && k.answer(w, r) {
		return
	}
	http.NotFound(w, r)
}

func (k *Keeper) answer(w http.ResponseWriter, r *http.Request) bool {
	for _, i := range k.config.Load().Issuers {
		if a, ok := i.(*certmagic.ACMEIssuer); ok && a.HandleHTTPChallenge(w, r) {
			return true
		}
	}
	return false
}

func hostOf(field string) string {
	if host, _, err := net.SplitHostPort(field); err == nil {
		field = host
	}
	return strings.ToLower(field)
}
