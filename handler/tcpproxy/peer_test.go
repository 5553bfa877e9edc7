package tcpproxy

import (
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"moonbridge/handler/proxyproto"
	"moonbridge/handler/upstream"
)

// tellsHeader is a target that says what the header of the PROXY protocol says, and then what follows it.
func tellsHeader(t *testing.T) (address string) {
	t.Helper()
	return target(t, func(c *net.TCPConn) {
		b, err := io.ReadAll(c)
		n, local, remote, perr := proxyproto.Parse(b)
		fmt.Fprintf(c, "%v -> %v %s %v %v", remote, local, b[n:], perr, err)
	})
}

// Targets get the addresses of clients: those of the connection, or those of the header that came with it.
func TestProxyProtocol(t *testing.T) {
	for version := 1; version <= 2; version++ {
		c := Config{ProxyOut: version, To: To(set(t, upstream.Options{}, tellsHeader(t)))}
		r := newRig(t, c, nil)
		client := r.dial()
		io.WriteString(client, "bytes")
		client.CloseWrite()
		b, err := io.ReadAll(client)
		if want := fmt.Sprintf("%v -> %v bytes <nil> <nil>", client.LocalAddr(), client.RemoteAddr()); string(b) != want || err != nil {
			t.Errorf("version %d: %q, %v, want %q", version, b, err, want)
		}
		r = newRig(t, c, proxyproto.New(patience))
		for in := 1; in <= 2; in++ {
			header := proxyproto.Append(nil, in, netip.MustParseAddrPort("[2001:db8::1]:443"), netip.MustParseAddrPort("[2001:db8::2]:1234"))
			if got, want := r.ask(string(header)+"bytes"), "[2001:db8::2]:1234 -> [2001:db8::1]:443 bytes <nil> <nil>"; got != want {
				t.Errorf("version %d to %d: %q, want %q", in, version, got, want)
			}
		}
		if e := r.over(1); e.Client.Remote.String() != "[2001:db8::2]:1234" {
			t.Errorf("%+v", e.Client)
		}
	}
}

// peer runs another server until the end of the test, and waits until it listens.
func peer(t *testing.T, address, program string, args ...string) {
	t.Helper()
	name, err := exec.LookPath(program)
	if err != nil {
		t.Skip(program, " is not installed")
	}
	out, err := os.Create(filepath.Join(t.TempDir(), "log"))
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	cmd := exec.Command(name, args...)
	cmd.Stdout, cmd.Stderr = out, out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cmd.Process.Kill()
		cmd.Wait()
	})
	until(t, program+" listens", func() bool {
		c, err := net.Dial("tcp", address)
		if err == nil {
			c.Close()
		}
		return err == nil
	})
}

// haproxy is an HAProxy whose only server is to. bind and server are options of the lines with these names.
func haproxy(t *testing.T, bind, to, server string) (address string) {
	t.Helper()
	address = nobody(t)
	conf := filepath.Join(t.TempDir(), "conf")
	text := fmt.Sprintf(`defaults
	mode tcp
	timeout connect 20s
	timeout client 20s
	timeout server 20s
listen all
	bind %s %s
	server one %s %s
`, address, bind, to, server)
	if err := os.WriteFile(conf, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	peer(t, address, "haproxy", "-db", "-f", conf)
	return address
}

// HAProxy understands our headers, and we understand its headers, in both versions, and the ends of connections pass.
func TestHAProxy(t *testing.T) {
	for version, send := range []string{"send-proxy", "send-proxy-v2"} {
		// HAProxy behind us reads our header, and sends one of its own to the target with what it has read.
		behind := haproxy(t, "accept-proxy", tellsHeader(t), "send-proxy-v2")
		r := newRig(t, Config{ProxyOut: version + 1, To: To(set(t, upstream.Options{}, behind))}, nil)
		client := r.dial()
		io.WriteString(client, "bytes")
		client.CloseWrite()
		b, err := io.ReadAll(client)
		if want := fmt.Sprintf("%v -> %v bytes <nil> <nil>", client.LocalAddr(), client.RemoteAddr()); string(b) != want || err != nil {
			t.Errorf("version %d: %q, %v, want %q", version+1, b, err, want)
		}
		// HAProxy in front of us.
		r = newRig(t, Config{ProxyOut: 2, To: To(set(t, upstream.Options{}, tellsHeader(t)))}, proxyproto.New(patience))
		front := haproxy(t, "", r.address, send)
		c, err := net.Dial("tcp4", front)
		if err != nil {
			t.Fatal(err)
		}
		io.WriteString(c, "bytes")
		c.(*net.TCPConn).CloseWrite()
		b, err = io.ReadAll(c)
		if want := fmt.Sprintf("%v -> %v bytes <nil> <nil>", c.LocalAddr(), c.RemoteAddr()); string(b) != want || err != nil {
			t.Errorf("%s: %q, %v, want %q", send, b, err, want)
		}
		c.Close()
	}
}

// nginx as a target takes the addresses of clients from our header.
func TestNginx(t *testing.T) {
	address, dir := nobody(t), t.TempDir()
	text := fmt.Sprintf(`daemon off; master_process off; pid %[1]s/pid; error_log %[1]s/error;
events { worker_connections 100; }
http {
	access_log off;
	client_body_temp_path %[1]s/a; proxy_temp_path %[1]s/b; fastcgi_temp_path %[1]s/c; uwsgi_temp_path %[1]s/d; scgi_temp_path %[1]s/e;
	server { listen %[2]s proxy_protocol; return 200 "$proxy_protocol_addr $proxy_protocol_port"; }
}
`, dir, address)
	if err := os.WriteFile(dir+"/conf", []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	peer(t, address, "nginx", "-p", dir, "-c", dir+"/conf", "-e", dir+"/error")
	for version := 1; version <= 2; version++ {
		r := newRig(t, Config{ProxyOut: version, Sniff: SniffHTTP, To: To(set(t, upstream.Options{}, address))}, nil)
		c := r.dial()
		io.WriteString(c, "GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n")
		b, err := io.ReadAll(c)
		local := c.LocalAddr().(*net.TCPAddr)
		if want := fmt.Sprintf("%v %d", local.IP, local.Port); !strings.HasSuffix(string(b), want) || err != nil {
			t.Errorf("version %d: %q, %v, want %q", version, b, err, want)
		}
	}
}
