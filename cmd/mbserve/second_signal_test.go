package main

import (
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// Only a second signal stops a server at once. The first one to a server that stops already, since another process has taken over or a main
// handler has ended, leaves its requests the time that they have.
func TestFirstSignalToServerThatStops(t *testing.T) {
	t.Parallel()
	for _, how := range []string{"USR2", "main"} {
		a := newApplication(t)
		fifo, open := newFIFO(t)
		end, openEnd := newFIFO(t)
		pidName := filepath.Join(t.TempDir(), "pid")
		main := ""
		if how == "main" {
			main = `listen{ { proto = "main", name = "m", connect = function() io.open(end_):close() end } }`
		}
		a.write(`@ local fifo, end_ = %q, %q %s listen{ port, connect = http.generate_handler(function(request)
			io.stderr:write("working\n")
			io.open(fifo):close()
			request:send_status("200 OK")
			request:send_data("done")
		end) }`, fifo, end, main)
		s := start(t, "-p", pidName, a.script)
		got := make(chan string, 1)
		go func() {
			resp, err := (&http.Client{Timeout: patience}).Get(s.url("/"))
			if err != nil {
				got <- err.Error()
				return
			}
			defer resp.Body.Close()
			b, _ := io.ReadAll(resp.Body)
			got <- string(b)
		}()
		s.wait("msg=working")
		if how == "main" {
			openEnd()
		} else {
			s.signal(syscall.SIGUSR2)
		}
		s.wait("msg=stopping")
		s.signal(syscall.SIGTERM)
		eventually(t, "the signal is noticed", func() bool {
			return strings.Contains(s.log.String(), "stopping already") || strings.Contains(s.log.String(), "stopping at once")
		})
		open()
		if text := <-got; text != "done" {
			t.Errorf("%s: %q", how, text)
		}
		if how == "main" {
			s.exit(exitOK)
			continue
		}
		text, err := os.ReadFile(pidName)
		if err != nil {
			t.Fatal(err)
		}
		s.awaitExit()
		s.endOf(number(t, strings.TrimSpace(string(text))))
	}
}
