package admin

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"os"
	"strings"
	"syscall"
)

// Address is where the listener is: an IP address with a port, or the path of a Unix socket.
type Address struct{ Network, Address string }

// ErrRemote: other hosts could reach the address.
var ErrRemote = errors.New("other hosts could reach it, and there is neither TLS nor a password")

// ParseAddress reads "127.0.0.1:9090", "localhost:9090", "[::1]:9090" or "unix:/path". Unless remote is set, an address that is not of
// this host alone is refused with ErrRemote.
func ParseAddress(s string, remote bool) (Address, error) {
	if path, ok := strings.CutPrefix(s, "unix:"); ok {
		switch {
		case path == "":
			return Address{}, errors.New("no path after unix:")
		case path[0] == '@': // a socket without a file, for which there are no permissions
			return Address{}, errors.New("every user of this host could connect to a name that begins with @: unix:./@name is a file")
		}
		return Address{"unix", path}, nil
	}
	host, port, err := net.SplitHostPort(s)
	if err != nil {
		return Address{}, errors.New("is neither an address with a port, such as 127.0.0.1:9090, nor unix:/path")
	}
	if host == "localhost" {
		host = "127.0.0.1"
	}
	if _, err := net.LookupPort("tcp", port); err != nil {
		return Address{}, fmt.Errorf("%q is not a port", port)
	}
	ip, err := netip.ParseAddr(host)
	switch {
	case host == "":
		ip = netip.IPv6Unspecified()
	case err != nil:
		return Address{}, fmt.Errorf("%q is not an IP address", host)
	}
	if !remote && !ip.Unmap().IsLoopback() {
		return Address{}, ErrRemote
	}
	return Address{"tcp", net.JoinHostPort(host, port)}, nil
}

// Open listens at the address. Only the user of this process and root can connect to a Unix socket.
func (a Address) Open() (net.Listener, error) {
	if a.Network != "unix" {
		return net.Listen(a.Network, a.Address)
	}
	if err := removeStale(a.Address); err != nil {
		return nil, err
	}
	mask := syscall.Umask(0o177)
	defer syscall.Umask(mask)
	return net.Listen(a.Network, a.Address)
}

// removeStale removes the file of a Unix socket that no process listens at.
func removeStale(path string) error {
	info, err := os.Lstat(path)
	if err != nil || info.Mode()&os.ModeSocket == 0 {
		return nil // listening says what is wrong
	}
	c, err := net.Dial("unix", path)
	if err == nil {
		c.Close()
		return fmt.Errorf("listen %s: %w", path, syscall.EADDRINUSE)
	}
	if errors.Is(err, syscall.ECONNREFUSED) {
		return os.Remove(path)
	}
	return nil
}

// foreignPage reports whether a page of another site has sent the request. Browsers say so for addresses of this host, too. A link that is
// followed to one of our pages is as good as one that is typed in.
func foreignPage(q *http.Request) bool {
	switch q.Header.Get("Sec-Fetch-Site") {
	case "cross-site", "same-site":
		h := q.Header
		return q.Method != http.MethodGet || h.Get("Sec-Fetch-Mode") != "navigate" || h.Get("Sec-Fetch-Dest") != "document" ||
			strings.HasPrefix(q.URL.Path, profiles)
	}
	return false
}

// knownHost reports whether a request's Host is one that a page of a foreign site cannot have: its name may lead here, if its owner
// wants that (DNS rebinding), but then it is the name that the browser sends.
func knownHost(host string) bool {
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	host = strings.TrimSuffix(strings.ToLower(host), ".")
	if host == "localhost" || strings.HasSuffix(host, ".localhost") {
		return true
	}
	_, err := netip.ParseAddr(strings.Trim(host, "[]"))
	return err == nil
}
