package bus

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/nats-io/nats.go/jetstream"

	"moonbridge/handler/channel"
)

// natsProgram is the path of a NATS server, which is built if it has not been before.
var natsProgram = sync.OnceValues(func() (string, error) {
	out, err := exec.Command("go", "-C", "natsserver", "tool", "-n", "nats-server").Output()
	path := strings.TrimSpace(string(out))
	if err == nil {
		_, err = os.Stat(path)
	}
	return path, err
})

func startNATS(t *testing.T, args ...string) *peer {
	t.Helper()
	program, err := natsProgram()
	if err != nil {
		t.Skip("the NATS server cannot be built: ", err)
	}
	port := freePort(t)
	return startPeer(t, port, program, "nats-server", append([]string{"-a", "127.0.0.1", "-p", port}, args...)...)
}

// The server is killed and started again in between.
func TestNATS(t *testing.T) {
	t.Parallel()
	s := startNATS(t, "-js", "-sd", t.TempDir(), "--user", "u", "--pass", "secret")
	at := address(t, "nats://u:secret@127.0.0.1:1,"+s.addr)
	a, b := newNodeAt(t, patience, at, nil), newNodeAt(t, patience, at, nil)
	here, there := a.follow("", "x"), b.follow("", "x")
	for i := range 1000 {
		a.publish("x", fmt.Sprint(i))
		if i == 500 {
			here.want(numbers(0, 501)...)
			there.want(numbers(0, 501)...)
			s.end()
			eventually(t, "they notice", func() bool { return !a.Stats().Connected && !b.Stats().Connected })
		}
	}
	s.start()
	here.want(numbers(0, 1000)...)
	there.want(numbers(0, 1000)...)
	if here.last() != there.last() || here.slow || there.slow {
		t.Errorf("ids %q and %q, log: %s", here.last(), there.last(), b.text)
	}
	newNodeAt(t, patience, at, nil).follow("0", "x").want(numbers(0, 1000)...)
	wrong := newNodeAt(t, 0, address(t, "nats://u:wrong@"+s.addr), nil)
	eventually(t, "the wrong password is told", func() bool { return strings.Contains(wrong.text.String(), "Authorization Violation") })
	for _, n := range []*node{a, wrong} {
		if text := n.text.String(); strings.Contains(text, "secret") || strings.Contains(text, ":wrong") {
			t.Errorf("the password is in the log: %s", text)
		}
	}
}

// The stream belongs to an operator, who has chosen other bounds, and then deletes it.
func TestNATSStream(t *testing.T) {
	t.Parallel()
	s := startNATS(t, "-js", "-sd", t.TempDir(), "--auth", "secret")
	at := address(t, "nats://secret@"+s.addr)
	conn, err := dialNATS(context.Background(), at)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.close()
	if _, err := conn.js.CreateStream(t.Context(), jetstream.StreamConfig{Name: at.name, Subjects: []string{conn.subject()}, MaxMsgs: 3, MaxMsgSize: 1000}); err != nil {
		t.Fatal(err)
	}
	a := newNodeAt(t, patience, at, nil)
	here := a.follow("", "x")
	for i := range 10 {
		a.publish("x", fmt.Sprint(i))
		here.until("it comes", func() bool { return len(here.data) == i+1 })
	}
	newNodeAt(t, patience, at, nil).follow("0", "x").want("7", "8", "9")
	if _, err := a.hub.Publish("x", channel.Post{Data: strings.Repeat("x", 2000)}); err != nil {
		t.Fatal(err)
	}
	eventually(t, "it is dropped", func() bool { return a.Stats().Dropped == 1 })
	a.publish("x", "10")
	here.want(numbers(0, 11)...)
	if err := conn.js.DeleteStream(t.Context(), at.name); err != nil {
		t.Fatal(err)
	}
	a.publish("x", "11")
	here.until("it is ended", func() bool { return here.slow })
	a.follow(here.last(), "x").want("11")
}

// A message whose batch is as large as the server takes is too large with the header that goes with it. It is dropped, and the next one follows.
func TestNATSMaxPayload(t *testing.T) {
	t.Parallel()
	config := filepath.Join(t.TempDir(), "nats.conf")
	if err := os.WriteFile(config, []byte("max_payload: 20000\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	s := startNATS(t, "-js", "-sd", t.TempDir(), "-c", config)
	a := newNodeAt(t, patience, address(t, "nats://"+s.addr), nil)
	here := a.follow("", "x")
	a.publish("x", strings.Repeat("x", 20000-60))
	eventually(t, "it is dropped", func() bool { return a.Stats().Dropped == 1 })
	a.publish("x", "next")
	here.want("next")
}

func TestNATSWithoutJetStream(t *testing.T) {
	t.Parallel()
	s := startNATS(t)
	n := newNodeAt(t, 0, address(t, "nats://"+s.addr), nil)
	eventually(t, "it is told", func() bool { return strings.Contains(n.text.String(), "no JetStream") })
}

func TestNATSTLS(t *testing.T) {
	t.Parallel()
	cert, key, roots := certificate(t)
	s := startNATS(t, "-js", "-sd", t.TempDir(), "--tls", "--tlscert", cert, "--tlskey", key)
	at := address(t, "tls://"+s.addr)
	at.roots = roots
	a := newNodeAt(t, patience, at, nil)
	here := a.follow("", "x")
	a.publish("x", "1")
	here.want("1")
	stranger := newNodeAt(t, 0, address(t, "tls://"+s.addr), nil)
	eventually(t, "the certificate is refused", func() bool { return strings.Contains(stranger.text.String(), "x509") })
}
