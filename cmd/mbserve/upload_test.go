package main

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// Forms sent by a client that is not ours.
func TestFormUpload(t *testing.T) {
	t.Parallel()
	needs(t, "curl")
	from, to := t.TempDir(), t.TempDir()
	s := start(t, "testdata/upload.lua", to)
	file := func(name string, content []byte) string {
		path := filepath.Join(from, name)
		if err := os.WriteFile(path, content, 0o644); err != nil {
			t.Fatal(err)
		}
		return path
	}
	large := bytes.Repeat([]byte("\r\n------------------------x\r\n-\r\r\n"), 10<<20/32)
	saved := map[string][]byte{"file_1": large, "file_2": []byte("two"), "file_3": {}}
	largeFile, twoFile, emptyFile := file("large", large), file("two", saved["file_2"]), file("empty", nil)
	form := []string{"--form-string", "z=last; first", "-F", "file_1=@" + largeFile + ";type=application/zip", "-F", "file_2=@" + twoFile + ";filename=\"a \\\"b\\\".txt\"",
		"-F", "b=", "-F", "file_3=@" + emptyFile, "-F", "file_x=@" + twoFile + ";type=text/plain", "-F", "file_x=again"}
	streamed := fmt.Sprintf("b= nil nil\nfile_1 large application/zip %d\nfile_2 a \"b\".txt text/plain 3\n"+
		"file_3 empty application/octet-stream 0\nfile_x=again nil nil\nfile_x=two two text/plain\nz=last; first nil nil\n", len(large))
	tests := []struct {
		name, path string
		args       []string
		want       string
	}{
		{"streamed", "/save", form, streamed},
		{"streamed, chunked", "/save", append([]string{"-H", "Transfer-Encoding: chunked"}, form...), streamed},
		{"streamed, waits for leave", "/save", append([]string{"-H", "Expect: 100-continue", "--expect100-timeout", "30"}, form...), streamed},
		{"streamed, http1.0", "/save", append([]string{"--http1.0"}, form...), streamed},
		{"streamed, response first", "/late", form, streamed},
		{"in memory", "/show", []string{"-F", "a=1", "-F", "a=2", "-F", "f=@" + twoFile + ";type=image/png"},
			"a=1 nil nil\na=2 nil nil\nf=two two image/png\n"},
		{"urlencoded", "/save", []string{"-d", "a=1+2&file_2=tw%6f", "--data-urlencode", "a=&"},
			"a=& nil nil\na=1 2 nil nil\nfile_2 nil nil 3\n"},
		{"no form", "/save", nil, "\n"},
		{"another type", "/save", []string{"-H", "Content-Type: application/json", "-d", "{}"}, "\n"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if got := curl(t, append(test.args, s.url(test.path))...); got != test.want {
				t.Errorf("got %q, want %q", got, test.want)
			}
			for name, want := range saved {
				got, err := os.ReadFile(filepath.Join(to, name))
				if strings.Contains(test.want, name+" ") && (err != nil || !bytes.Equal(got, want)) {
					t.Errorf("%s: %d bytes, %v", name, len(got), err)
				}
				os.Remove(filepath.Join(to, name))
			}
		})
	}
	t.Run("malformed", func(t *testing.T) {
		got := curl(t, "-w", "%{http_code}", "-o", "/dev/null", "-H", "Content-Type: multipart/form-data; boundary=x", "-d", "nothing of this kind", s.url("/save"))
		if got != "400" {
			t.Errorf("status %s", got)
		}
	})
	t.Run("too large", func(t *testing.T) {
		got := curl(t, "-w", "%{http_code}", "-o", "/dev/null", "-H", "Transfer-Encoding: chunked", "-F", "file_1=@"+largeFile, "-F", "file_1=@"+largeFile,
			"-F", "file_1=@"+largeFile, "-F", "file_1=@"+largeFile, s.url("/save"))
		if got != "413" {
			t.Errorf("status %s", got)
		}
	})
	t.Run("vanished", func(t *testing.T) {
		p := dial(t, s.address(0))
		io.WriteString(p, "POST /save HTTP/1.1\r\nHost: x\r\nContent-Type: multipart/form-data; boundary=x\r\nContent-Length: 1000000\r\n\r\n"+
			"--x\r\nContent-Disposition: form-data; name=file_1\r\n\r\n")
		p.Write(large[:200000])
		p.Close()
		// There is one worker: it has dropped the other form when it takes this one.
		if got := curl(t, "-F", "a=1", s.url("/save")); got != "a=1 nil nil\n" {
			t.Errorf("got %q", got)
		}
	})
	if strings.Contains(s.log.String(), "traceback") {
		t.Errorf("the log has errors:\n%s", s.log)
	}
}
