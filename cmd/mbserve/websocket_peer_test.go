package main

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"moonbridge/handler/websocket/wstest"

	"moonbridge/reactor/reactortest"
)

// echoSockets is a server whose WebSockets echo, with listener in its listen table.
func echoSockets(t *testing.T, listener string) *instance {
	a := newApplication(t)
	a.write(`@ require("moonbridge_websocket").handler("echo", { message = function(ws, data, kind) ws:send(data, kind) end })
listen{ %s, connect = http.generate_handler(function(request)
	request:accept_websocket{ handler = "echo", protocols = "echo", compress = true }
end) }`, listener)
	return start(t, a.script)
}

// exchanges sends and receives messages of several sizes.
func (c *socket) exchanges() {
	c.t.Helper()
	for _, n := range []int{0, 1, 126, 70_000, 700_000} {
		c.asks(strings.Repeat("m", n), strings.Repeat("m", n))
	}
	defer c.failure()
	c.Close(1000)
}

const deflateOffer = "Sec-WebSocket-Extensions: permessage-deflate\r\n"

func TestWebSocketTLS(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	a := certificateFiles(t, dir, "a", "a.test")
	s := echoSockets(t, fmt.Sprintf(`{ proto = "tcp4", port = 0, localhost = true, tls = { cert = %q, key = %q } }`, dir+"/a.pem", dir+"/a-key.pem"))
	_, config := tlsClient("a.test", a)
	conn, err := tls.Dial("tcp", s.addresses()[0], config)
	if err != nil {
		t.Fatal(err)
	}
	socketOn(t, conn, "/", deflateOffer).exchanges()
}

// The first line is for the PROXY protocol.
func TestWebSocketProxyProtocol(t *testing.T) {
	t.Parallel()
	s := echoSockets(t, `{ proto = "tcp4", port = 0, localhost = true, proxy_protocol = true }`)
	conn, err := net.Dial("tcp", s.address(0))
	if err != nil {
		t.Fatal(err)
	}
	fmt.Fprint(conn, "PROXY TCP4 192.0.2.1 192.0.2.2 1000 80\r\n")
	socketOn(t, conn, "/", "").exchanges()
}

// With compression of responses in front of the handler.
func TestWebSocketWithCompress(t *testing.T) {
	t.Parallel()
	a := newApplication(t)
	a.write(`@ require("moonbridge_websocket").handler("echo", { message = function(ws, data, kind) ws:send(data, kind) end })
listen{ port, connect = http.generate_handler(function(request)
	request:accept_websocket{ handler = "echo" }
end, { compress = true, cache = {} }) }`)
	s := start(t, a.script)
	openSocket(t, s.address(0), "/", "Accept-Encoding: gzip\r\n").exchanges()
}

func TestWebSocketBehindNginx(t *testing.T) {
	t.Parallel()
	s := echoSockets(t, "port")
	address, dir := reactortest.FreePort(t), t.TempDir()
	text := fmt.Sprintf(`daemon off; master_process off; pid %[1]s/pid; error_log %[1]s/error;
events { worker_connections 100; }
http { access_log off; client_body_temp_path %[1]s; proxy_temp_path %[1]s; fastcgi_temp_path %[1]s; uwsgi_temp_path %[1]s; scgi_temp_path %[1]s;
server { listen %[2]s; location / { proxy_pass http://%[3]s; proxy_http_version 1.1; proxy_set_header Host $host;
proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection upgrade; } } }
`, dir, address, s.address(0))
	if err := os.WriteFile(dir+"/conf", []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	runPeer(t, address, "nginx", "-p", dir, "-c", dir+"/conf", "-e", dir+"/error")
	openSocket(t, address, "/", deflateOffer).exchanges()
}

// nodeScript uses the client that Node has built in. It prints what it has seen.
const nodeScript = `
const ws = new WebSocket(process.argv[1], ["other", "echo"]);
ws.binaryType = "arraybuffer";
const seen = [];
ws.onopen = () => { ws.send("hello"); ws.send("x".repeat(100000)); ws.send(new Uint8Array([0, 255, 7])); };
ws.onmessage = (e) => {
	seen.push(typeof e.data === "string" ? e.data.length + ":" + e.data.slice(0, 5) : [...new Uint8Array(e.data)].join("."));
	if (seen.length === 3) ws.close(3001, "enough");
};
ws.onclose = (e) => console.log(ws.protocol, seen.join(" "), e.code, e.wasClean);
`

func TestWebSocketOfNode(t *testing.T) {
	t.Parallel()
	const option = "--experimental-websocket"
	if out, err := exec.Command("node", option, "-p", "typeof WebSocket").Output(); err != nil || strings.TrimSpace(string(out)) != "function" {
		t.Skip("there is no node with a WebSocket client")
	}
	s := echoSockets(t, "port")
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	script := filepath.Join(t.TempDir(), "client.js")
	if err := os.WriteFile(script, []byte(strings.ReplaceAll(nodeScript, "argv[1]", "argv[2]")), 0o644); err != nil {
		t.Fatal(err)
	}
	out, err := exec.CommandContext(ctx, "node", option, script, "ws://"+s.address(0)+"/").Output()
	if got := strings.TrimSpace(string(out)); got != "echo 5:hello 100000:xxxxx 0.255.7 3001 true" {
		t.Errorf("%q, %v", got, err)
	}
}

// A client that sends and does not read holds no worker and little memory, and gets all answers when it reads.
func TestWebSocketSlowClient(t *testing.T) {
	t.Parallel()
	s := echoSockets(t, "port")
	c, other := openSocket(t, s.address(0), "/", ""), openSocket(t, s.address(0), "/", "")
	text := strings.Repeat("z", 50_000)
	const count = 300
	sent := make(chan struct{})
	go func() {
		defer close(sent)
		for range count {
			c.Message(wstest.Text, []byte(text), 0)
		}
	}()
	other.asks("others are served", "others are served")
	for range count {
		if got := c.hears(); got != text {
			t.Fatalf("%d bytes", len(got))
		}
	}
	<-sent
}
