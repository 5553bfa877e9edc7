package main

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"time"

	"moonbridge/handler/pool"
)

const (
	// replayShown is how much of a response is shown.
	replayShown = 64 << 10
	// replayPatience is how long an answer is waited for beyond the time limit of the request.
	replayPatience = 10 * time.Second
)

// describe shows what is replayed.
func (r *replay) describe() {
	rec, q := r.record, r.record.Request
	line, _, _ := bytes.Cut(q.Head, []byte("\r\n"))
	dir, _ := os.Getwd()
	fmt.Fprintf(r.stdout, "record   %s of %s: %s\n", printable(rec.ID), rec.Time.UTC().Format("2006-01-02 15:04:05 UTC"), printable(rec.Cause))
	fmt.Fprintf(r.stdout, "request  %s (%d bytes of body)\n", printable(string(line)), len(q.Body))
	if len(q.Masked) > 0 {
		fmt.Fprintf(r.stdout, "masked   %s: the request has *** there\n", printable(strings.Join(q.Masked, ", ")))
	}
	if q.Cut {
		fmt.Fprintf(r.stdout, "body     only the beginning is known, and sent\n")
	}
	fmt.Fprintf(r.stdout, "script   %s, in %s\n\n", printable(r.script), printable(dir))
}

// send sends the request and shows the response.
func (r *replay) send(ctx context.Context, socket string) error {
	conn, err := (&net.Dialer{}).DialContext(ctx, "unix", socket)
	if err != nil {
		return err
	}
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { conn.Close() })()
	if limit := r.spec.Options.RequestTimeout; limit > 0 {
		conn.SetDeadline(time.Now().Add(limit + replayPatience))
	}
	go conn.Write(r.request) // the answer may come before all is sent
	method, _, _ := strings.Cut(string(r.request), " ")
	resp, err := http.ReadResponse(bufio.NewReader(conn), &http.Request{Method: method})
	if err != nil {
		fmt.Fprintf(r.stdout, "no response: %v\n", err)
		return nil
	}
	defer resp.Body.Close()
	r.showResponse(resp)
	return nil
}

func (r *replay) showResponse(resp *http.Response) {
	var b bytes.Buffer
	fmt.Fprintf(&b, "%s %s\n", resp.Proto, resp.Status)
	resp.Header.Write(&b)
	r.stdout.Write([]byte(printable(strings.ReplaceAll(b.String(), "\r\n", "\n")) + "\n"))
	body, err := io.ReadAll(io.LimitReader(resp.Body, replayShown+1))
	if len(body) > replayShown {
		body = append(body[:replayShown], "…"...)
	}
	fmt.Fprintf(r.stdout, "%s\n", strings.TrimSuffix(printable(string(body)), "\n"))
	if err != nil {
		fmt.Fprintf(r.stdout, "the response has broken off: %v\n", err)
	}
}

// judge shows what has failed. It reports whether anything has.
func (r *replay) judge() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.crashes) == 0 {
		fmt.Fprintf(r.stdout, "\nnot failed\n")
		return false
	}
	c := r.crashes[len(r.crashes)-1]
	how := "as recorded"
	if c.Cause != r.record.Cause {
		how = "recorded: " + printable(r.record.Cause)
	}
	fmt.Fprintf(r.stdout, "\nfailed   %s (%s)\n", c.Cause, how)
	r.showCrash(c)
	return true
}

func (r *replay) showCrash(c *pool.Crash) {
	if c.End != "" {
		fmt.Fprintf(r.stdout, "worker   ended with %s\n", c.End)
	}
	for _, text := range []string{c.Message, c.Traceback} {
		if text != "" {
			fmt.Fprintln(r.stdout, text)
		}
	}
	if len(c.Lines) > 0 {
		fmt.Fprintln(r.stdout, "last lines of its log:")
	}
	for _, line := range c.Lines {
		fmt.Fprintf(r.stdout, "    %s\n", line)
	}
}
