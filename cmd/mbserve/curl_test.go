package main

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// curl runs curl and returns its standard output. It must succeed.
func curl(t *testing.T, args ...string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	var out, diag bytes.Buffer
	cmd := exec.CommandContext(ctx, "curl", append([]string{"-sS", "--noproxy", "*"}, args...)...)
	cmd.Stdout, cmd.Stderr = &out, &diag
	if err := cmd.Run(); err != nil {
		t.Fatalf("curl %q: %v\n%s", args, err, diag.String())
	}
	return out.String()
}

// The server works with a client that is not ours.
func TestCurl(t *testing.T) {
	t.Parallel()
	needs(t, "curl")
	dir := t.TempDir()
	path, file := filepath.Join(dir, "socket"), filepath.Join(dir, "file")
	s := start(t, "testdata/echo.lua", path)
	const size = 10 << 20
	if err := os.WriteFile(file, bytes.Repeat([]byte("0123456789abcdef"), size/16), 0o644); err != nil {
		t.Fatal(err)
	}
	length := strconv.Itoa(size)
	tests := []struct {
		name string
		args []string
		path string
		want []string // parts of the output
	}{
		{"get", nil, "/", []string{" from GET"}},
		{"head", []string{"--head"}, "/", []string{"HTTP/1.1 200 OK", "X-Method: HEAD", "Content-Length: 10"}},
		{"head, streamed", []string{"--head"}, "/flush", []string{"HTTP/1.1 200 OK", "Transfer-Encoding: chunked"}},
		{"post", []string{"-d", "a=b"}, "/", []string{"a=b from POST"}},
		{"streamed", []string{"-i", "-d", "a=b"}, "/flush", []string{"Transfer-Encoding: chunked", "a=b from POST"}},
		{"http1.0", []string{"--http1.0", "-i"}, "/", []string{"HTTP/1.1 200 OK", "Connection: close", " from GET"}},
		{"http1.0, streamed", []string{"--http1.0", "-i", "-d", "x"}, "/flush", []string{"Connection: close", "x from POST"}},
		{"unix socket", []string{"--unix-socket", path, "-d", "x"}, "/", []string{"x from POST"}},
		{"upload", []string{"-T", file}, "/length", []string{length}},
		{"chunked upload", []string{"-T", file, "-H", "Transfer-Encoding: chunked"}, "/length", []string{length}},
		{"upload that waits for leave", []string{"-v", "--stderr", "-", "-T", file, "-H", "Expect: 100-continue", "--expect100-timeout", "30"}, "/length",
			[]string{"HTTP/1.1 100 Continue", "HTTP/1.1 200 OK", length}},
		{"upload without leave", []string{"-i", "-T", file, "-H", "Expect: 100-continue", "--expect100-timeout", "30"}, "/refuse",
			[]string{"HTTP/1.1 403 Forbidden", "refused"}},
		{"upload, chunked, without leave", []string{"-i", "-T", file, "-H", "Transfer-Encoding: chunked", "-H", "Expect: 100-continue",
			"--expect100-timeout", "30"}, "/refuse", []string{"HTTP/1.1 403 Forbidden", "refused"}},
		{"upload through a unix socket", []string{"--unix-socket", path, "-T", file}, "/length", []string{length}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			got := curl(t, append(test.args, "http://"+s.address(0)+test.path)...)
			if rest := got; !inOrder(rest, test.want) {
				t.Errorf("curl %q: %q, want %q", test.args, got, test.want)
			}
		})
	}
	t.Run("one connection", func(t *testing.T) {
		url := s.url("/")
		got := curl(t, "-d", "x", "-w", "%{num_connects} ", url, url, url)
		if want := "x from POST1 x from POST0 x from POST0 "; got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	})
}

func inOrder(s string, parts []string) bool {
	for _, part := range parts {
		_, after, found := strings.Cut(s, part)
		if !found {
			return false
		}
		s = after
	}
	return true
}
