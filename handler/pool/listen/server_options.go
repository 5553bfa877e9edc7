package listen

import (
	"cmp"
	"slices"
)

// ServerOptions returns the names of the options that the script has set and that a pool cannot carry out: the program that serves its
// listeners has to. If it cannot do that with one of them, it should refuse the script: without tls, for example, it would serve plain
// HTTP.
//
// Where a listener is (Network, Address, Mode) and the limits in HTTPOptions are not named, since every script has them. Neither is
// EncodedBody, unless bodies are to be decoded.
func (s *Spec) ServerOptions() (names []string) {
	for i := range s.Listeners {
		for _, o := range serverOptions(&s.Options, &s.Listeners[i]) {
			if o.set && !slices.Contains(names, o.name) {
				names = append(names, o.name)
			}
		}
	}
	return names
}

type serverOption struct {
	name string
	set  bool
}

func serverOptions(o *Options, l *Listener) []serverOption {
	h := cmp.Or(l.HTTP, &HTTPOptions{})
	return []serverOption{
		{"selftest", o.Selftest},
		{trustedName, len(o.TrustedProxies) > 0},
		{routesName, len(o.Routes) > 0},
		{staticName, len(o.Static) > 0},
		{rateLimitName, o.RateLimit != nil},
		{connectionLimitName, o.ConnectionLimit != nil},
		{"flood_penalty", !o.FloodPenalty},
		{errorPageName, o.HasErrorPages},

		{"owner", l.Owner != ""},
		{"group", l.Group != ""},
		{"proxy_protocol", l.ProxyProtocol},
		{tlsName, l.TLS != nil},
		{redirectName, l.RedirectHTTPS != 0},
		{"http2", l.HTTP2 != HTTP2WithTLS},

		{"encoded_body", h.EncodedBody == EncodedDecode},
		{"compress", h.Compress.On},
		{"cache", h.Cache.ID != 0},
		{"static_headers", h.StaticHeaders != ""},
	}
}
