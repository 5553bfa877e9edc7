package reactor

import (
	"bufio"
	"encoding/binary"
	"encoding/hex"
	"net"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// otherProcessListens reports whether a socket that is none of ours listens where e does. It would not be noticed when our
// sockets share the port: those of another server of the same user may do so too. If the system has no list of sockets, the
// answer is no.
func otherProcessListens(e Endpoint, ours []*Listener) bool {
	own := make(map[uint64]bool)
	for _, ln := range ours {
		ln.mu.Lock()
		for _, fd := range ln.sockets() {
			var st unix.Stat_t
			if unix.Fstat(fd, &st) == nil {
				own[st.Ino] = true
			}
		}
		ln.mu.Unlock()
	}
	return listsOther("/proc/self/net/tcp", e, own) || listsOther("/proc/self/net/tcp6", e, own)
}

// listsOther looks for such a socket in one of the kernel's lists.
func listsOther(name string, e Endpoint, own map[uint64]bool) bool {
	f, err := os.Open(name)
	if err != nil {
		return false
	}
	defer f.Close()
	for lines := bufio.NewScanner(f); lines.Scan(); {
		// "0: 0100007F:1F90 00000000:0000 0A …": 0A is the state of a listening socket. The tenth field is the inode.
		fields := strings.Fields(lines.Text())
		if len(fields) < 10 || fields[0] == "sl" {
			continue
		}
		if fields[3] != "0A" {
			break // the listening sockets come first; there may be very many others
		}
		inode, err := strconv.ParseUint(fields[9], 10, 64)
		if at, ok := listedEndpoint(fields[1]); ok && err == nil && !own[inode] && at.Overlaps(e) {
			return true
		}
	}
	return false
}

// listedEndpoint reads an address in the form of the lists: words of 4 bytes in hexadecimal, each in the byte order of the
// machine. The list does not say whether an IPv6 socket takes IPv4 connections as well. One that does could not be open
// beside one of ours that is in the way of an IPv4 address, so it does not.
func listedEndpoint(s string) (e Endpoint, ok bool) {
	host, port, _ := strings.Cut(s, ":")
	ip, err := hex.DecodeString(host)
	n, errPort := strconv.ParseUint(port, 16, 16)
	if err != nil || errPort != nil || len(ip) != net.IPv4len && len(ip) != net.IPv6len {
		return e, false
	}
	for i := 0; i < len(ip); i += 4 {
		binary.NativeEndian.PutUint32(ip[i:], binary.BigEndian.Uint32(ip[i:]))
	}
	network := "tcp6"
	if net.IP(ip).To4() != nil {
		network = "tcp4"
	}
	return endpointOf(network, &net.TCPAddr{IP: ip, Port: int(n)}), true
}
