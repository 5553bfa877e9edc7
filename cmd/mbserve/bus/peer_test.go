package bus

import (
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"moonbridge/reactor/reactortest"
)

// peer is a server that the test ends and starts again.
type peer struct {
	t             *testing.T
	addr          string
	program, name string
	args          []string
	cmd           *exec.Cmd
}

// freePort is a port for a server that the test starts.
func freePort(t *testing.T) string {
	t.Helper()
	_, port, _ := net.SplitHostPort(reactortest.FreePort(t))
	return port
}

func startPeer(t *testing.T, port, program, name string, args ...string) *peer {
	t.Helper()
	p := &peer{t: t, addr: "127.0.0.1:" + port, program: program, name: name, args: args}
	p.start()
	t.Cleanup(p.end)
	return p
}

// start starts the server, and waits until it listens.
func (p *peer) start() {
	p.t.Helper()
	p.cmd = exec.Command(p.program, p.args...)
	p.cmd.Args[0] = p.name
	out, err := os.Create(filepath.Join(p.t.TempDir(), "out"))
	if err != nil {
		p.t.Fatal(err)
	}
	defer out.Close()
	p.cmd.Stdout, p.cmd.Stderr = out, out
	if err := p.cmd.Start(); err != nil {
		p.t.Fatal(err)
	}
	for end := time.Now().Add(patience); !p.listens(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			text, _ := os.ReadFile(out.Name())
			p.t.Fatalf("%s does not start: %s", p.name, text)
		}
	}
}

func (p *peer) listens() bool {
	c, err := net.Dial("tcp", p.addr)
	if err == nil {
		c.Close()
	}
	return err == nil
}

func (p *peer) end() {
	if p.cmd != nil {
		p.cmd.Process.Kill()
		p.cmd.Wait()
		p.cmd = nil
	}
}

func address(t *testing.T, text string) *Address {
	t.Helper()
	a, err := ParseAddress(text)
	if err != nil {
		t.Fatal(err)
	}
	return a
}
