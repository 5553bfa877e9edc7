package examples_test

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"moonbridge/reactor/reactortest"
)

// background starts a program of others, which is stopped at the end of the test, and waits until it accepts connections.
func background(t *testing.T, address string, name string, args ...string) *exec.Cmd {
	t.Helper()
	cmd := exec.Command(name, args...)
	out := new(log)
	cmd.Stdout, cmd.Stderr = out, out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	t.Cleanup(func() {
		cmd.Process.Signal(syscall.SIGTERM)
		<-ended
	})
	await(t, name, func() bool {
		conn, err := net.DialTimeout("tcp", address, patience)
		if err == nil {
			conn.Close()
		}
		select {
		case err := <-ended:
			ended <- err
			t.Fatalf("%s: %v\n%s", name, err, out)
		default:
		}
		return err == nil
	})
	return cmd
}

// startNginx starts nginx with the inside of a server block and options for its listener, and returns its address.
func startNginx(t *testing.T, server string, options ...string) string {
	t.Helper()
	need(t, "nginx")
	address, dir := reactortest.FreePort(t), t.TempDir()
	config := write(t, "nginx.conf", fmt.Sprintf(`
daemon off;
worker_processes 1;
pid %[1]s/pid;
error_log stderr;
events { }
http {
	access_log off;
	client_body_temp_path %[1]s/body;
	proxy_temp_path %[1]s/proxy;
	fastcgi_temp_path %[1]s/fastcgi;
	uwsgi_temp_path %[1]s/uwsgi;
	scgi_temp_path %[1]s/scgi;
	server {
		listen %[2]s %[4]s;
		%[3]s
	}
}
`, dir, address, server, strings.Join(options, " ")))
	background(t, address, "nginx", "-p", dir, "-e", filepath.Join(dir, "err"), "-c", config)
	return address
}

// pythonEcho answers with the request line and the fields of the request.
const pythonEcho = `
import http.server, sys
class Handler(http.server.BaseHTTPRequestHandler):
	protocol_version = "HTTP/1.1"
	def do_GET(self):
		text = "python: %s\n%s" % (self.requestline, self.headers)
		self.send_response(200)
		self.send_header("Content-Length", str(len(text)))
		self.end_headers()
		self.wfile.write(text.encode())
	def do_POST(self):
		body = self.rfile.read(int(self.headers["Content-Length"]))
		self.send_response(200)
		self.send_header("Content-Length", str(len(body)))
		self.end_headers()
		self.wfile.write(body)
	def log_message(self, *args):
		pass
host, port = sys.argv[1].split(":")
http.server.ThreadingHTTPServer((host, int(port)), Handler).serve_forever()
`

func startPython(t *testing.T, address string) *exec.Cmd {
	t.Helper()
	need(t, "python3")
	return background(t, address, "python3", "-c", pythonEcho, address)
}

func TestProxy(t *testing.T) {
	need(t, "curl")
	python := reactortest.FreePort(t)
	startPython(t, python)
	nginx := startNginx(t, `location / { return 200 "nginx: $request_uri $http_x_gateway $http_x_forwarded_for\n"; }`)
	p := run(t, "proxy", "-address", "127.0.0.1:0", "-api", python, "-web", nginx)
	url := "http://" + p.wait(`http://(\S+)/`, 1)[0] + "/"

	check(t, "GET", url+"a?b", "", 200, "nginx: /a?b the example 127.0.0.1\n")
	res, err := client.Get(url + "api/v1/x?y=z")
	if err != nil {
		t.Fatal(err)
	}
	text, err := io.ReadAll(res.Body)
	res.Body.Close()
	if err != nil || !strings.HasPrefix(string(text), "python: GET /api/v1/x?y=z HTTP/1.1\n") || !strings.Contains(string(text), "\nX-Gateway: the example\n") {
		t.Errorf("%q, %v", text, err)
	}
	if got := res.Header.Get("Server"); got != "" {
		t.Errorf("Server: %s", got)
	}
	check(t, "GET", url+"api", "", 200, "nginx: /api the example 127.0.0.1\n")
	large := strings.Repeat("0123456789abcdef", 1<<16)
	check(t, "POST", url+"api/echo", large, 200, large)
	if got := tool(t, "curl", "-s", "-o", "/dev/null", "-w", "%{http_code} %{num_connects}\n", url+"1", "-o", "/dev/null", url+"api/2"); got != "200 1\n200 0\n" {
		t.Errorf("curl: %q", got)
	}
	p.terminate()
	p.exit()
}

// A target that is down is not noticed by clients as long as there is another one.
func TestProxyFails(t *testing.T) {
	python, down := reactortest.FreePort(t), reactortest.FreePort(t)
	startPython(t, python)
	p := run(t, "proxy", "-address", "127.0.0.1:0", "-api", down+","+python, "-web", down)
	url := "http://" + p.wait(`http://(\S+)/`, 1)[0] + "/"
	for range 20 {
		if code, text := send(t, "GET", url+"api/", ""); code != 200 {
			t.Fatalf("%d %q", code, text)
		}
	}
	check(t, "GET", url, "", 502, "Bad Gateway\n")
	p.wait("no connection to the target", 1)
}

func TestGatewayLimitsRates(t *testing.T) {
	python := reactortest.FreePort(t)
	startPython(t, python)
	p := run(t, "gateway", "-address", "127.0.0.1:0", "-targets", python, "-rate", "0.001")
	url := "http://" + p.wait(`http://(\S+)/`, 1)[0] + "/"
	for i := range 23 {
		code, _ := send(t, "GET", url, "")
		if want := map[bool]int{true: 200, false: 429}[i < 20]; code != want {
			t.Errorf("request %d: %d, want %d", i, code, want)
		}
	}
	p.terminate()
	p.exit()
}

// Targets that do not pass their checks get nothing, even if they are the majority.
func TestGatewayLeavesOut(t *testing.T) {
	targets := reactortest.FreePort(t)
	startPython(t, targets)
	for range 2 {
		bad := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/health" {
				w.WriteHeader(500)
			}
		}))
		t.Cleanup(bad.Close)
		targets += "," + bad.Listener.Addr().String()
	}
	p := run(t, "gateway", "-address", "127.0.0.1:0", "-targets", targets, "-rate", "1e9")
	url := "http://" + p.wait(`http://(\S+)/`, 1)[0] + "/"
	inRow := 0
	await(t, "that only the healthy target gets requests", func() bool {
		for inRow < 50 { // which is as good as impossible if the others get requests, too
			if _, text := send(t, "GET", url, ""); !strings.HasPrefix(text, "python: ") {
				inRow = 0
				return false
			}
			inRow++
		}
		return true
	})
}

func TestGatewayOpensItsCircuit(t *testing.T) {
	address := reactortest.FreePort(t)
	python := startPython(t, address)
	p := run(t, "gateway", "-address", "127.0.0.1:0", "-targets", address, "-rate", "1e9")
	url := "http://" + p.wait(`http://(\S+)/`, 1)[0] + "/"
	if code, text := send(t, "GET", url+"a", ""); code != 200 || !strings.HasPrefix(text, "python: GET /a ") {
		t.Fatalf("%d %q", code, text)
	}
	python.Process.Kill()
	await(t, "that requests are refused", func() bool {
		code, text := send(t, "GET", url+"lost", "")
		return code == 503 && text == "Service Unavailable\n"
	})
	startPython(t, address)
	await(t, "that the target is used again", func() bool {
		code, text := send(t, "GET", url+"c", "")
		return code == 200 && strings.HasPrefix(text, "python: GET /c ")
	})
}
