package main

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"moonbridge/reactor/reactortest"
)

const packagingDir = "../../packaging/"

// packaged is a file of packaging/, with other words in the place of some. Each of them has to be there.
func packaged(t *testing.T, name string, replace ...string) string {
	t.Helper()
	b, err := os.ReadFile(packagingDir + name)
	if err != nil {
		t.Fatal(err)
	}
	text := string(b)
	for i := 0; i+1 < len(replace); i += 2 {
		if !strings.Contains(text, replace[i]) {
			t.Fatalf("%s: no %q", name, replace[i])
		}
		text = strings.ReplaceAll(text, replace[i], replace[i+1])
	}
	return text
}

// The unit is one that systemd accepts, and leaves the server and the application few rights.
func TestUnits(t *testing.T) {
	t.Parallel()
	analyze, err := exec.LookPath("systemd-analyze")
	if err != nil {
		t.Skip("systemd-analyze is not installed")
	}
	dir := t.TempDir()
	own := []string{"/usr/local/bin/mbserve", program(t), "Documentation=file:/usr/local/share/doc/moonbridge/operations.md", ""}
	for name, text := range map[string]string{
		"mbserve@.service": packaged(t, "mbserve@.service", own...), "mbserve@.socket": packaged(t, "mbserve@.socket"),
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	out, err := exec.Command(analyze, "verify", filepath.Join(dir, "mbserve@shop.service"), filepath.Join(dir, "mbserve@shop.socket")).CombinedOutput()
	if err != nil || strings.Contains(string(out), "mbserve") {
		t.Errorf("verify: %v\n%s", err, out)
	}
	out, err = exec.Command(analyze, "security", "--offline=true", "--no-pager", filepath.Join(dir, "mbserve@.service")).CombinedOutput()
	if strings.Contains(string(out), "unrecognized option") {
		t.Skip("this systemd-analyze cannot look at files")
	}
	found := regexp.MustCompile(`exposure level for \S+ ([0-9.]+)`).FindSubmatch(out)
	if found == nil {
		t.Fatalf("security: %v\n%s", err, out)
	}
	if level, err := strconv.ParseFloat(string(found[1]), 64); err != nil || level > 2.0 {
		t.Errorf("exposure %s, want at most 2.0\n%s", found[1], out)
	}
}

// The options in the manifest are options.
func TestManifestOptions(t *testing.T) {
	var args []string
	for _, option := range regexp.MustCompile(`(?m)^ +- (--\S+)$`).FindAllStringSubmatch(packaged(t, "kubernetes.yaml"), -1) {
		args = append(args, option[1])
	}
	o, err := parseOptions(append(args, "main.lua"))
	if err != nil || len(args) < 5 {
		t.Fatalf("%q: %v", args, err)
	}
	grace := regexp.MustCompile(`terminationGracePeriodSeconds: (\d+)`).FindStringSubmatch(packaged(t, "kubernetes.yaml"))
	if n := number(t, grace[1]); float64(n) < (o.grace+o.drainDelay).Seconds()+5 {
		t.Errorf("%d s for a drain of %v and a grace of %v", n, o.drainDelay, o.grace)
	}
}

// fronted is a server that the configurations are for.
func fronted(t *testing.T) (s *instance, plain, prefixed, admin string) {
	t.Helper()
	s = start(t, "--admin", loopbackPort, "testdata/fronted.lua")
	eventually(t, "the server has a worker", func() bool { // a proxy that asks before is to leave it out
		return status(t, "GET", s.admin("/readyz")) == http.StatusOK
	})
	return s, s.address(0), s.address(1), strings.TrimPrefix(s.admin(""), "http://")
}

// checkFront asks over both ways. The client is this process, at an address that neither the proxy nor the server has.
func checkFront(t *testing.T, overHTTP, overTCP string) {
	t.Helper()
	from := &net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 0, 9)}}
	c := &http.Client{Transport: &http.Transport{DialContext: from.DialContext, DisableKeepAlives: true}, Timeout: patience}
	for _, address := range []string{overHTTP, overTCP} {
		var got string
		eventually(t, "the proxy finds the server ready", func() bool {
			resp, err := c.Get("http://" + address + "/")
			if err != nil {
				return false
			}
			defer resp.Body.Close()
			text, err := io.ReadAll(resp.Body)
			got = string(text)
			return err == nil && resp.StatusCode == 200
		})
		if want := fmt.Sprintf("127.0.0.9 http %s", address); got != want {
			t.Errorf("%s: %q, want %q", address, got, want)
		}
		checkFrontStreams(t, address)
	}
}

// checkFrontStreams checks that events pass the proxy as they are published, and messages of a WebSocket in both directions.
func checkFrontStreams(t *testing.T, address string) {
	t.Helper()
	l := &follower{t: t, url: "http://" + address + "/events"}
	if err := l.connect(); err != nil {
		t.Fatal(err)
	}
	for _, text := range []string{"one", "two"} { // the second one is published when the first one is here
		if _, _, err := fetch("POST", "http://"+address+"/", text); err != nil {
			t.Fatal(err)
		}
		l.want(text)
	}
	if l.again > 0 {
		t.Errorf("%s: the stream has ended", address)
	}
	l.body.Close()
	openSocket(t, address, "/socket", "").exchanges()
}

// frontHAProxy is HAProxy with the configuration for it. It returns its two addresses. On a busy machine a check of the server may take longer
// than the configuration says.
func frontHAProxy(t *testing.T, plain, prefixed, admin string) (overHTTP, overTCP string) {
	t.Helper()
	_, adminPort, _ := net.SplitHostPort(admin)
	overHTTP, overTCP = reactortest.FreePort(t), reactortest.FreePort(t)
	conf := filepath.Join(t.TempDir(), "conf")
	text := packaged(t, "haproxy.cfg", "bind *:80\n", "bind "+overHTTP+"\n", "bind *:443\n", "bind "+overTCP+"\n",
		"127.0.0.1:8080", plain, "127.0.0.1:8081", prefixed, "port 9090", "port "+adminPort, "maxconn 20000", "maxconn 100",
		"inter 1s", "inter 40s", "timeout connect 5s", "timeout connect 40s")
	if err := os.WriteFile(conf, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	runPeer(t, overHTTP, "haproxy", "-db", "-f", conf)
	return overHTTP, overTCP
}

func TestFrontHAProxy(t *testing.T) {
	t.Parallel()
	_, plain, prefixed, admin := fronted(t)
	overHTTP, overTCP := frontHAProxy(t, plain, prefixed, admin)
	checkFront(t, overHTTP, overTCP)
}

// A server that dies with a request may have carried it out. The proxy sends it again only if that does no harm.
func TestFrontHAProxyRepeats(t *testing.T) {
	t.Parallel()
	ready := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	defer ready.Close()
	ln, err := net.Listen("tcp", loopbackPort)
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	got := make(chan string, 100)
	go func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			if req, err := http.ReadRequest(bufio.NewReader(c)); err == nil {
				io.Copy(io.Discard, req.Body)
				got <- req.Method
			}
			c.Close()
		}
	}()
	address := ln.Addr().String()
	overHTTP, _ := frontHAProxy(t, address, address, strings.TrimPrefix(ready.URL, "http://"))
	for method, again := range map[string]bool{"GET": true, "PUT": true, "DELETE": true, "POST": false, "PATCH": false} {
		req, err := http.NewRequest(method, "http://"+overHTTP+"/", strings.NewReader("pay"))
		if err != nil {
			t.Fatal(err)
		}
		if res, err := (&http.Client{Timeout: patience}).Do(req); err == nil {
			res.Body.Close()
		}
		n := len(got)
		for range n {
			if one := <-got; one != method {
				t.Errorf("%s instead of %s", one, method)
			}
		}
		if n == 0 || (n > 1) != again {
			t.Errorf("%s was sent %d times", method, n)
		}
	}
}

func TestFrontNginx(t *testing.T) {
	t.Parallel()
	_, plain, prefixed, _ := fronted(t)
	overHTTP, overTCP := reactortest.FreePort(t), reactortest.FreePort(t)
	dir := t.TempDir()
	load := ""
	if out, _ := exec.Command("nginx", "-V").CombinedOutput(); strings.Contains(string(out), "--with-stream=dynamic") {
		const module = "/usr/lib/nginx/modules/ngx_stream_module.so"
		if _, err := os.Stat(module); err != nil {
			t.Skip("nginx has no stream module")
		}
		load = "load_module " + module + ";"
	}
	text := fmt.Sprintf("daemon off; master_process off; pid %[1]s/pid; error_log %[1]s/error; %[2]s\n", dir, load) +
		packaged(t, "nginx.conf", "listen 80;", "listen "+overHTTP+"; access_log off;", "listen 443;", "listen "+overTCP+";",
			"server 127.0.0.1:8080", "server "+plain, "127.0.0.1:8081", prefixed, "worker_connections 10000", "worker_connections 100")
	if err := os.WriteFile(dir+"/conf", []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	runPeer(t, overHTTP, "nginx", "-p", dir, "-c", dir+"/conf", "-e", dir+"/error")
	checkFront(t, overHTTP, overTCP)
}
