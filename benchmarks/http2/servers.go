package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"moonbridge/benchmarks/internal/proc"
	"moonbridge/benchmarks/internal/servers"
)

// server is a running server.
type server struct {
	name    string
	address string
	cmd     *exec.Cmd
	tree    *proc.Tree
	ended   chan struct{}
	log     string
}

func (s *server) url(path string) string { return "https://" + s.address + "/" + path }

// serveArgument makes this program the peer net/http.
const serveArgument = "-serve"

func serveNetHTTP(address, cert, key string) error {
	large := []byte(strings.Repeat("x", 100<<10))
	return http.ListenAndServeTLS(address, cert, key, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/plain")
		if r.URL.Path == "/100k" {
			w.Header().Set("Content-Length", "102400")
			w.Write(large)
			return
		}
		w.Header().Set("Content-Length", "14")
		io.WriteString(w, "Hello, world!\n")
	}))
}

const nginxConfig = `load_module %[1]s/ndk_http_module.so;
load_module %[1]s/ngx_http_lua_module.so;
daemon off;
%[5]s
worker_processes %[2]s;
pid %[3]s/nginx.pid;
error_log %[3]s/nginx.err error;
events { worker_connections 4096; multi_accept on; }
http {
	access_log off;
	server_tokens off;
	default_type text/plain;
	keepalive_timeout 3600s;
	keepalive_requests 1000000000;
	client_body_temp_path %[3]s/body;
	proxy_temp_path %[3]s/proxy;
	fastcgi_temp_path %[3]s/fastcgi;
	uwsgi_temp_path %[3]s/uwsgi;
	scgi_temp_path %[3]s/scgi;
	server {
		listen %[4]s ssl http2;
		ssl_certificate %[3]s/cert.pem;
		ssl_certificate_key %[3]s/key.pem;
		ssl_protocols TLSv1.2 TLSv1.3;
		location / { content_by_lua_block { local body = "Hello, world!\n" ngx.header["Content-Length"] = #body ngx.print(body) } }
		location /100k { content_by_lua_block { large = large or string.rep("x", 100 * 1024) ngx.header["Content-Length"] = #large ngx.print(large) } }
	}
}
`

// writeCertificate writes cert.pem and key.pem.
func writeCertificate(dir string) error {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	t := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(24 * time.Hour), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}}
	cert, err := x509.CreateCertificate(rand.Reader, t, t, key.Public(), key)
	if err != nil {
		return err
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(dir, "cert.pem"), pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert}), 0o644); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(dir, "key.pem"), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private}), 0o600)
}

// startAll starts the servers. mbserve comes first: the others are compared with it.
func startAll(s *servers.Settings) (all []*server, err error) {
	for _, name := range []string{"mbserve", "nginx", "nethttp"} {
		one, err := start(s, name)
		if err != nil {
			return all, err
		}
		all = append(all, one)
	}
	return all, nil
}

func stopAll(all []*server) {
	for _, s := range all {
		s.stop()
	}
}

// start starts a server, and waits until it answers.
func start(s *servers.Settings, name string) (*server, error) {
	ln, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	address := ln.Addr().String()
	ln.Close()
	cmd, err := command(s, name, address)
	if err != nil {
		return nil, err
	}
	one := &server{name: name, address: address, cmd: cmd, ended: make(chan struct{}), log: filepath.Join(s.Temp, name+".log")}
	log, err := os.Create(one.log)
	if err != nil {
		return nil, err
	}
	defer log.Close()
	cmd.Dir, cmd.Stdout, cmd.Stderr = s.Temp, log, log
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	one.tree = proc.NewTree(cmd.Process.Pid)
	go func() { cmd.Wait(); close(one.ended) }()
	if err := one.awaitReady(); err != nil {
		one.stop()
		text, _ := os.ReadFile(one.log)
		return nil, fmt.Errorf("%s: %w\n%s", name, err, text)
	}
	return one, nil
}

func command(s *servers.Settings, name, address string) (*exec.Cmd, error) {
	_, port, _ := net.SplitHostPort(address)
	cert, key := filepath.Join(s.Temp, "cert.pem"), filepath.Join(s.Temp, "key.pem")
	switch name {
	case "mbserve":
		args := append(append([]string(nil), s.MbserveFlags...), filepath.Join(s.Benchmarks, "scripts", "http2.lua"), port, cert, key)
		return exec.Command(s.Mbserve, args...), nil
	case "nginx":
		workers := "auto"
		if s.NginxWorkers > 0 {
			workers = fmt.Sprint(s.NginxWorkers)
		}
		user := ""
		if os.Geteuid() == 0 {
			user = "user root;" // its workers could not enter the folder otherwise
		}
		path := filepath.Join(s.Temp, "nginx.conf")
		text := fmt.Sprintf(nginxConfig, s.NginxModules, workers, s.Temp, address, user)
		return exec.Command("nginx", "-p", s.Temp, "-c", path), os.WriteFile(path, []byte(text), 0o644)
	}
	self, err := os.Executable()
	return exec.Command(self, serveArgument, address, cert, key), err
}

// readyTimeout bounds the time until a server answers.
const readyTimeout = 20 * time.Second

func (s *server) awaitReady() error {
	client := &http.Client{Timeout: readyTimeout, Transport: &http.Transport{
		TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, ForceAttemptHTTP2: true}}
	defer client.CloseIdleConnections()
	for end := time.Now().Add(readyTimeout); ; time.Sleep(20 * time.Millisecond) {
		res, err := client.Get(s.url("100k"))
		if err == nil {
			n, _ := io.Copy(io.Discard, res.Body)
			res.Body.Close()
			if res.ProtoMajor == 2 && res.StatusCode == http.StatusOK && n == 100<<10 {
				s.tree.PIDs()
				return nil
			}
			err = fmt.Errorf("%s %s, %d bytes", res.Proto, res.Status, n)
		}
		select {
		case <-s.ended:
			return fmt.Errorf("it has ended: %v", s.cmd.ProcessState)
		default:
		}
		if time.Now().After(end) {
			return err
		}
	}
}

// stop ends a server.
func (s *server) stop() {
	s.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-s.ended:
	case <-time.After(10 * time.Second):
		for _, pid := range s.tree.PIDs() {
			syscall.Kill(pid, syscall.SIGKILL)
		}
		<-s.ended
	}
}
