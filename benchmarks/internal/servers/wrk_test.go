package servers

import (
	"bufio"
	"bytes"
	"context"
	"io"
	"net"
	"net/http"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"moonbridge/benchmarks/internal/wrk"
)

// wrk sends the request whose answers were verified: the same method, path, body, Content-Type,
// Accept-Encoding and Connection.
func TestWrkSendsWhatIsVerified(t *testing.T) {
	if _, err := exec.LookPath("wrk"); err != nil {
		t.Skip("wrk is not installed: benchmarks/install.sh")
	}
	root, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	for _, w := range Workloads {
		t.Run(w.Name, func(t *testing.T) {
			t.Parallel()
			listener, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			defer listener.Close()
			listener.(*net.TCPListener).SetDeadline(time.Now().Add(time.Minute))
			ctx, cancel := context.WithCancel(t.Context())
			ended := make(chan struct{})
			go func() {
				defer close(ended)
				load := wrk.Load{URL: "http://" + listener.Addr().String() + w.Path(), Conns: 1, Duration: time.Minute, Script: w.WrkScript(root)}
				load.Run(ctx)
			}()
			defer func() { cancel(); <-ended }()
			got, body := receive(t, listener)
			want, err := http.ReadRequest(bufio.NewReader(bytes.NewReader(w.Request("127.0.0.1:1"))))
			if err != nil {
				t.Fatal(err)
			}
			wantBody, err := io.ReadAll(want.Body)
			if err != nil {
				t.Fatal(err)
			}
			if got.Method != want.Method || got.URL.Path != want.URL.Path || got.Close != want.Close || !bytes.Equal(body, wantBody) ||
				got.Header.Get("Content-Type") != want.Header.Get("Content-Type") ||
				got.Header.Get("Accept-Encoding") != want.Header.Get("Accept-Encoding") {
				t.Errorf("wrk sends %s, close %v, %v, %d bytes; verified was %s, close %v, %v, %d bytes", got.Method, got.Close, got.Header,
					len(body), want.Method, want.Close, want.Header, len(wantBody))
			}
		})
	}
}

// receive reads the first request on the first connection that sends one. wrk opens and closes one to see whether it can.
func receive(t *testing.T, listener net.Listener) (*http.Request, []byte) {
	t.Helper()
	for {
		conn, err := listener.Accept()
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { conn.Close() })
		conn.SetDeadline(time.Now().Add(time.Minute))
		request, err := http.ReadRequest(bufio.NewReader(conn))
		if err == io.EOF {
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(request.Body)
		if err != nil {
			t.Fatal(err)
		}
		return request, body
	}
}
