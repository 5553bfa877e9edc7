package main

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"moonbridge/reactor/reactortest"
)

// runPeer starts another server until the end of the test, and waits until it listens. Without the program, or a part of it, the
// test is skipped.
func runPeer(t testing.TB, address, program string, args ...string) {
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
		if t.Failed() {
			text, _ := os.ReadFile(out.Name())
			t.Logf("%s says:\n%s", program, text)
		}
	})
	listens := holds(patience, func() bool {
		c, err := net.Dial("tcp", address)
		if err == nil {
			c.Close()
		}
		return err == nil
	})
	if !listens {
		text, _ := os.ReadFile(out.Name())
		t.Fatalf("%s does not start: %s", program, text)
	}
}

// haproxy is an HAProxy with a frontend of the given mode and a server line: "127.0.0.1:80 send-proxy". It returns its address.
func haproxy(t testing.TB, mode, server string) (address string) {
	t.Helper()
	address = reactortest.FreePort(t)
	conf := filepath.Join(t.TempDir(), "conf")
	text := fmt.Sprintf(`defaults
	mode %s
	timeout connect 40s
	timeout client 40s
	timeout server 40s
listen all
	bind %s
	server one %s
`, mode, address, server)
	if err := os.WriteFile(conf, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	runPeer(t, address, "haproxy", "-db", "-f", conf)
	return address
}

// nginxStream is an nginx with a server in its stream block: "proxy_pass 127.0.0.1:80; proxy_protocol on;".
func nginxStream(t testing.TB, server string) (address string) {
	t.Helper()
	address = reactortest.FreePort(t)
	dir := t.TempDir()
	load := ""
	if out, _ := exec.Command("nginx", "-V").CombinedOutput(); strings.Contains(string(out), "--with-stream=dynamic") {
		const module = "/usr/lib/nginx/modules/ngx_stream_module.so"
		if _, err := os.Stat(module); err != nil {
			t.Skip("nginx has no stream module")
		}
		load = "load_module " + module + ";"
	}
	text := fmt.Sprintf(`daemon off; master_process off; pid %[1]s/pid; error_log %[1]s/error; %[2]s
events { worker_connections 100; }
stream { server { listen %[3]s; %[4]s } }
`, dir, load, address, server)
	if err := os.WriteFile(dir+"/conf", []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	runPeer(t, address, "nginx", "-p", dir, "-c", dir+"/conf", "-e", dir+"/error")
	return address
}
