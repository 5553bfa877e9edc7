package main

import (
	"net"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
	"time"

	"moonbridge/benchmarks/internal/servers"
)

// huge sends the head of a large file and more than a reader takes at once, and then ends the connection when told to.
func huge(t *testing.T, end chan struct{}) string {
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != servers.HugePath {
			t.Errorf("path %s", r.URL.Path)
		}
		w.Header().Set("Content-Length", strconv.Itoa(servers.HugeBytes))
		w.Write(make([]byte, 3*readerBytes))
		http.NewResponseController(w).Flush()
		<-end
	}))
	t.Cleanup(s.Close)
	return s.Listener.Addr().String()
}

func TestReaders(t *testing.T) {
	end := make(chan struct{})
	r, err := startReaders(t.Context(), huge(t, end), 3)
	if err != nil {
		t.Fatal(err)
	}
	defer r.stop()
	for deadline := time.Now().Add(time.Minute); r.bytes.Load() == 0; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("nothing was read")
		}
	}
	if r.lost.Load() != 0 {
		t.Error("readers were lost")
	}
	close(end)
	r.wait.Wait()
	if r.lost.Load() != 3 || r.bytes.Load() == 0 || r.bytes.Load() > 9*readerBytes {
		t.Errorf("%d readers were lost, %d bytes read", r.lost.Load(), r.bytes.Load())
	}
}

// Readers that end themselves are not lost.
func TestReadersStop(t *testing.T) {
	end := make(chan struct{})
	defer close(end)
	r, err := startReaders(t.Context(), huge(t, end), 2)
	if err != nil {
		t.Fatal(err)
	}
	if r.stop(); r.lost.Load() != 0 {
		t.Errorf("%d readers were lost", r.lost.Load())
	}
}

func TestReadersRefuse(t *testing.T) {
	missing := httptest.NewServer(http.NotFoundHandler())
	defer missing.Close()
	small := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.Write([]byte("x")) }))
	defer small.Close()
	for _, address := range []string{missing.Listener.Addr().String(), small.Listener.Addr().String()} {
		if _, err := startReaders(t.Context(), address, 1); err == nil || !strings.Contains(err.Error(), "reader 1: answered") {
			t.Errorf("got %v", err)
		}
	}
	listener, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	closed := listener.Addr().String()
	listener.Close()
	if _, err := startReaders(t.Context(), closed, 1); err == nil {
		t.Error("connected to nothing")
	}
}
