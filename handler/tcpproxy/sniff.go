package tcpproxy

import (
	"bytes"
	"strings"

	"moonbridge/httpparse"
)

// sniffer looks for a name in the first bytes of one connection.
type sniffer struct {
	what   Sniff
	max    int
	need   int // it is not worth to look again with fewer bytes
	parser *httpparse.Parser
	head   httpparse.Head
}

// look looks at all that has come. known is false if more bytes may change the result. Of what is too long, malformed or another
// protocol, the name is "".
func (s *sniffer) look(p []byte) (name string, known bool) {
	if len(p) < max(s.need, 1) {
		return "", false
	}
	if s.what == SniffTLS || s.what == SniffBoth && p[0] == handshake {
		return s.tls(p)
	}
	return s.http(p)
}

func (s *sniffer) tls(p []byte) (name string, known bool) {
	found, need, err := serverName(p[:min(len(p), s.max)])
	if need > 0 && err == nil && need <= s.max {
		s.need = need
		return "", false
	}
	if need > 0 || err != nil {
		return "", true
	}
	return canonical(found), true
}

// http parses the head of a request as the HTTP server does, which refuses everything that two servers might understand
// differently.
func (s *sniffer) http(p []byte) (name string, known bool) {
	if s.parser == nil {
		s.parser = new(httpparse.Parser)
	}
	n, err := s.parser.Parse(&s.head, p[:min(len(p), s.max)], &httpparse.Limits{HeadBytes: s.max})
	if n == 0 && err == nil {
		return "", false
	}
	i := -1
	if err == nil {
		i = s.head.Find("host", 0)
	}
	if i < 0 {
		return "", true
	}
	return canonical(withoutPort(s.head.Value(s.head.Fields[i]))), true
}

// withoutPort is the host in the value of Host. An IPv6 address keeps its brackets.
func withoutPort(host []byte) []byte {
	if i := bytes.LastIndexByte(host, ':'); i >= 0 && bytes.IndexByte(host[i:], ']') < 0 {
		return host[:i]
	}
	return host
}

// canonical is a name as tables have it: in lower case, without the dot at its end.
func canonical(name []byte) string {
	return strings.TrimSuffix(strings.ToLower(string(name)), ".")
}
