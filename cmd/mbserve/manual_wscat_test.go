package main

import (
	"encoding/binary"
	"fmt"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"moonbridge/handler/websocket/wstest"
)

// envWscat makes this test binary run as wscat, the WebSocket client of the manual's examples: it sends its arguments after the URL, one
// after another, and prints the message that comes after each. The argument - only waits for a message. If the server closes the connection,
// it prints the code and the reason.
const envWscat = "MBSERVE_TEST_WSCAT"

func wscat(args []string) int {
	u, err := url.Parse(args[0])
	if err != nil {
		fmt.Println(err)
		return 2
	}
	conn, err := net.Dial("tcp", u.Host)
	if err != nil {
		fmt.Println(err)
		return 2
	}
	c, err := wstest.Open(conn, u.RequestURI(), "")
	if err != nil {
		fmt.Println(err)
		return 1
	}
	for _, text := range args[1:] {
		if text != "-" {
			c.Message(wstest.Text, []byte(text), 0)
		}
		if !heard(c) {
			return 0
		}
	}
	c.Close(1000)
	return 0
}

// heard prints the next message. false: it was a close frame.
func heard(c *wstest.Client) bool {
	f := c.Next()
	if f.Opcode != wstest.CloseFrame {
		fmt.Printf("%s\n", f.Payload)
		return true
	}
	if len(f.Payload) >= 2 {
		fmt.Printf("(closed %d %s)\n", binary.BigEndian.Uint16(f.Payload), f.Payload[2:])
	}
	return false
}

// installWscat puts the command wscat into a directory.
func installWscat(t testing.TB, dir string) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	text := fmt.Sprintf("#!/bin/sh\n%s=1 exec '%s' \"$@\"\n", envWscat, strings.ReplaceAll(self, "'", `'\''`))
	if err := os.WriteFile(filepath.Join(dir, "wscat"), []byte(text), 0o755); err != nil {
		t.Fatal(err)
	}
}
