package main

import (
	"bufio"
	"crypto/tls"
	"fmt"
	"net/http"
	"strings"
	"testing"
)

// Streams of events over TLS, with HTTP/1.1 and with HTTP/2. The messages are larger than what a socket takes at once.
func TestSubscribeTLS(t *testing.T) {
	t.Parallel()
	s := start(t, "--tls-self-signed", "testdata/channels.lua")
	base := "https://" + strings.TrimSuffix(strings.TrimPrefix(field(s.wait("serves=http"), "address"), "https://"), "/")
	for major := 1; major <= 2; major++ {
		var protocols http.Protocols
		protocols.SetHTTP1(major == 1)
		protocols.SetHTTP2(major == 2)
		transport := &http.Transport{Protocols: &protocols, TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}
		client := &http.Client{Transport: transport, Timeout: patience}
		name := fmt.Sprint("room:", major)
		lua := func(text string) string {
			t.Helper()
			req, err := http.NewRequest("POST", base+"/", strings.NewReader(text))
			if err != nil {
				t.Fatal(err)
			}
			_, got, err := do(client, req)
			if err != nil {
				t.Fatal(err)
			}
			return got
		}
		id := ""
		for round := range 2 { // the second one comes back with the id of the first one's last message
			var streams []*bufio.Reader
			var bodies []*http.Response
			for range 4 {
				req, err := http.NewRequest("GET", base+"/?c="+name, nil)
				if err != nil {
					t.Fatal(err)
				}
				if id != "" {
					req.Header.Set("Last-Event-ID", id)
				}
				resp, err := client.Do(req)
				if err != nil {
					t.Fatal(err)
				}
				if resp.ProtoMajor != major || resp.StatusCode != 200 {
					t.Fatalf("%s %s", resp.Proto, resp.Status)
				}
				bodies, streams = append(bodies, resp), append(streams, bufio.NewReader(resp.Body))
			}
			if round == 0 {
				lua(fmt.Sprintf(`for i = 1, 8 do channel.publish(%q, ("%%d"):format(i) .. ("x"):rep(250000)) end`, name))
			}
			from := 1
			if round == 1 {
				from = 5
			}
			for _, in := range streams {
				for i := from; i <= 8; i++ {
					l := follower{t: t, in: in}
					data := ""
					for data == "" {
						var err error
						if data, err = l.event(); err != nil {
							t.Fatal(err)
						}
					}
					if data != fmt.Sprint(i)+strings.Repeat("x", 250_000) {
						t.Fatalf("HTTP/%d: message %d is %.20q, of %d bytes", major, i, data, len(data))
					}
					if round == 0 && i == 4 {
						id = l.id
					}
				}
			}
			for _, resp := range bodies {
				resp.Body.Close()
			}
			eventually(t, "all have left", func() bool { return strings.HasPrefix(lua(fmt.Sprintf(`return channel.count(%q)`, name)), "0") })
		}
		transport.CloseIdleConnections()
	}
}
