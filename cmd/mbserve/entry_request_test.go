package main

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"
)

// The default sizes.
func TestEntryDefaultSizes(t *testing.T) {
	t.Parallel()
	s := start(t, "testdata/entry_defaults.lua")
	_, body, err := fetch("POST", s.url("/"), strings.Repeat("x", 1<<20))
	if err != nil || body != "16384" {
		t.Errorf("longest piece: %q, %v", body, err)
	}
	// A client that sends Expect: 100-continue is refused before it sends anything.
	for length, status := range map[int]string{64 << 20: "100 Continue", 64<<20 + 1: "413 Content Too Large"} {
		p := dial(t, s.address(0))
		p.say("POST / HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: %d\r\n\r\n", length)
		if line, err := p.r.ReadString('\n'); line != "HTTP/1.1 "+status+"\r\n" {
			t.Errorf("body of %d bytes: %q, %v", length, line, err)
		}
		p.Close()
	}
	for size, status := range map[int]int{1<<20 - 100: 200, 1 << 20: 431} {
		p := dial(t, s.address(0))
		go fmt.Fprintf(p, "GET / HTTP/1.1\r\nHost: h\r\nX: %s\r\n\r\n", strings.Repeat("x", size))
		p.hears(status)
	}
}

// pairs lists the client's data, with header names in lower case.
func TestEntryPairs(t *testing.T) {
	t.Parallel()
	s := start(t, "testdata/entry_pairs.lua")
	const form = "Content-Type: application/x-www-form-urlencoded"
	const multipart = "Content-Type: multipart/form-data; boundary=b"
	part := "--b\r\nContent-Disposition: form-data; name=%s\r\n\r\n1\r\n"
	tests := []struct{ table, query, fields, body, want string }{
		{"headers", "", "X-Moon: a, b", "", "content-length host x-moon"},
		{"headers_csv_string", "", "X-Moon: a, b", "", "content-length host x-moon"},
		{"headers_csv_table", "", "X-Moon: a, b", "", "content-length host x-moon"},
		{"headers_flags", "", "X-Moon: a, b", "", "content-length host x-moon"},
		{"headers_value", "", "X-Moon: a, b\r\nx-moon: c", "", "content-length host x-moon"},
		{"get_params", "?b=1&a=2&b=3", "A: b", "", "a b"},
		{"get_params_list", "?b=1&a=2&b=3", "A: b", "", "a b"},
		{"cookies", "", "Cookie: n=1; M=2", "", "M n"},
		{"post_params", "", form, "b=1&a=2&b=3", "a b"},
		{"post_params_list", "", form, "b=1&a=2&b=3", "a b"},
		{"post_params", "?a=1", "A: b", "", ""},
		{"post_params_list", "?a=1", "A: b", "", ""},
		{"post_metadata", "", form, "b=1&a=2&b=3", ""},
		{"post_metadata", "", multipart, fmt.Sprintf(part+part, "x", "y") + "--b--", "x y"},
		{"post_metadata_list", "", multipart, fmt.Sprintf(part+part, "x", "y") + "--b--", "x y"},
	}
	p := dial(t, s.address(0))
	for _, test := range tests {
		p.say("POST /%s%s HTTP/1.1\r\nHost: h\r\n%s\r\nContent-Length: %d\r\n\r\n%s",
			test.table, test.query, test.fields, len(test.body), test.body)
		if got := p.hears(200); got != test.want {
			t.Errorf("%s: %q, want %q", test.table, got, test.want)
		}
	}
}

// The same form in the tables and in stream handlers.
func TestEntryForm(t *testing.T) {
	t.Parallel()
	s := start(t, "testdata/entry_form.lua")
	body := strings.ReplaceAll(`--b
Content-Disposition: form-data; name="file"; filename="moon.txt"
Content-Type: text/x-moon

crescent
--b
Content-Disposition: form-data; name="file"; filename*=UTF-8''n%C3%A4chster
Content-Type: text/plain


--b
Content-Disposition: form-data; name=fire

abc
--b
Content-Disposition: form-data; name="text"

plain
--b--`, "\n", "\r\n")
	const late = "stream_post_param: the request body has already been read as a form\n" +
		"stream_post_params: the request body has already been read as a form\n" +
		"stream_request_body: the request body has already been read as a form\n"
	const urlencoded = "application/x-www-form-urlencoded"
	tests := []struct{ name, query, kind, body, want string }{
		{"tables", "", "multipart/form-data; charset=utf-8; boundary=\"b\"", body,
			"file crescent 2 {nil,moon.txt,text/x-moon} 2\n" +
				"fire abc 1 {nil,nil,nil} 1\ntext plain 1 {nil,nil,nil} 1\n" + late},
		{"streams", "?stream", "multipart/form-data; boundary=b", body,
			"file [cres] {file,moon.txt,text/x-moon}\nfile [cent]\nfile end\n" +
				"file [] {file,nächster,text/plain}\nfile end\n" +
				"f [abc] {fire,nil,nil}\nf end\n" +
				"file nil 0 nil 0\nfire nil 0 nil 0\ntext plain 1 {nil,nil,nil} 1\n" + late},
		{"urlencoded tables", "", urlencoded, "file=a&fire=b+c&file=d",
			"file a 2 nil none\nfire b c 1 nil none\ntext nil 0 nil none\n" + late},
		{"urlencoded streams", "?stream", urlencoded, "file=a&fire=b+c&file=&text=d",
			"file [a] {file,nil,nil}\nfile end\nf [b c] {fire,nil,nil}\nf end\nfile [] {file,nil,nil}\nfile end\n" +
				"file nil 0 nil none\nfire nil 0 nil none\ntext d 1 nil none\n" + late},
	}
	for _, test := range tests {
		for _, chunked := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, chunked %v", test.name, chunked), func(t *testing.T) {
				p := dial(t, s.address(0))
				head := "POST /" + test.query + " HTTP/1.1\r\nHost: h\r\nContent-Type: " + test.kind + "\r\n"
				if chunked {
					p.say("%sTransfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n0\r\n\r\n", head, len(test.body), test.body)
				} else {
					p.say("%sContent-Length: %d\r\n\r\n%s", head, len(test.body), test.body)
				}
				if got := p.hears(200); got != test.want {
					t.Errorf("got\n%s\nwant\n%s", got, test.want)
				}
			})
		}
	}
}

// A form is read before the status is sent, unless defer_reading was called, in either spelling.
func TestEntryDeferReading(t *testing.T) {
	for _, query := range []string{"", "?dot", "?colon"} {
		t.Run("query "+query, func(t *testing.T) {
			t.Parallel()
			s := start(t, "testdata/entry_defer.lua")
			p := dial(t, s.address(0))
			p.say("POST /%s HTTP/1.1\r\nHost: h\r\nContent-Type: application/x-www-form-urlencoded\r\n"+
				"Transfer-Encoding: chunked\r\n\r\n", query)
			s.wait("msg=status")
			if query != "" {
				s.wait("msg=sent")
				if line, err := p.r.Peek(len("HTTP/1.1 200")); err != nil || string(line) != "HTTP/1.1 200" {
					t.Fatalf("%q, %v", line, err)
				}
			}
			if query == "" && s.count("msg=sent") != 0 {
				t.Error("the status was sent before the form was read")
			}
			p.say("3\r\na=b\r\n0\r\n\r\n")
			if got := p.hears(200); got != "early\nb\n" {
				t.Errorf("body %q", got)
			}
			s.wait("msg=sent")
		})
	}
}

// Data is collected up to minimum_output_chunk_size, or chunk_size; the default is 1024. When it is reached, the data
// is sent while the handler waits, before the length of the body is known.
func TestEntryOutputChunk(t *testing.T) {
	for _, test := range []struct {
		options string
		size    int
		early   bool
	}{
		{"", 1023, false},
		{"", 1024, true},
		{"minimum_output_chunk_size = 3000", 2999, false},
		{"chunk_size = 3000", 2999, false},
		{"chunk_size = 3000", 3000, true},
		{"chunk_size = 3000, minimum_output_chunk_size = 2000", 2000, true},
		{"chunk_size = 1, minimum_output_chunk_size = 2000", 1999, false},
	} {
		t.Run(fmt.Sprintf("%s, %d bytes", test.options, test.size), func(t *testing.T) {
			t.Parallel()
			fifo, open := newFIFO(t)
			s := start(t, "testdata/entry_output.lua", fifo, test.options)
			p := dial(t, s.address(0))
			p.get(fmt.Sprint("/", test.size))
			s.wait("msg=waiting")
			if test.early {
				if _, err := p.r.Peek(1); err != nil {
					t.Fatal(err)
				}
			} else {
				time.Sleep(300 * time.Millisecond) // it would be sent after about 50 ms
			}
			open()
			resp, err := http.ReadResponse(p.r, nil)
			if err != nil {
				t.Fatal(err)
			}
			body, err := io.ReadAll(resp.Body)
			if err != nil || len(body) != test.size+3 {
				t.Errorf("%d bytes, %v", len(body), err)
			}
			if early := resp.ContentLength < 0; early != test.early {
				t.Errorf("sent early: %v", early)
			}
		})
	}
}

// If a refused client keeps sending, its data is read for drain_timeout, so that it has time to read the answer. Here
// drain_timeout is longer than the default.
func TestEntryDrainTimeout(t *testing.T) {
	t.Parallel()
	s := start(t, "testdata/entry_drain.lua")
	p := dial(t, s.address(0))
	begun := time.Now()
	p.say("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 1000000000\r\n\r\n")
	p.hears(413)
	for {
		if _, err := p.Write([]byte("x")); err != nil {
			break
		}
		time.Sleep(20 * time.Millisecond)
	}
	if d := time.Since(begun); d < 3*time.Second || d > patience {
		t.Errorf("the connection was closed after %v, want 4 s", d)
	}
}
