package main

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strconv"
	"strings"
	"syscall"
	"testing"
)

func TestCryptoHashes(t *testing.T) {
	t.Parallel()
	s := start(t, "testdata/crypto.lua")
	for n := range 200 {
		text := strings.Repeat("m\xff\x00on", 40)[:n]
		sum := sha256.Sum256([]byte(text))
		mac := hmac.New(sha256.New, []byte(text))
		mac.Write([]byte("text " + text))
		want := hex.EncodeToString(sum[:]) + hex.EncodeToString(mac.Sum(nil))
		code := fmt.Sprintf(`local s = ("m\255\0on"):rep(40):sub(1, %d); return hex(crypto.sha256(s)) .. hex(crypto.hmac_sha256(s, "text " .. s))`, n)
		if got := s.lua(0, code); got != want {
			t.Fatalf("%d bytes: %s, want %s", n, got, want)
		}
	}
	long := strings.Repeat("x", 1<<20)
	sum := sha256.Sum256([]byte(long))
	if got := s.lua(0, `return hex(crypto.sha256(("x"):rep(2^20)))`); got != hex.EncodeToString(sum[:]) {
		t.Errorf("a long text: %s", got)
	}
}

func TestCryptoFunctions(t *testing.T) {
	t.Parallel()
	s := start(t, "testdata/crypto.lua")
	for code, want := range map[string]string{
		`return #crypto.random(1)`:                      "1",
		`return #crypto.random(1000000)`:                "1000000",
		`return crypto.random(16) ~= crypto.random(16)`: "true",
		`return crypto.equal("a\0b", "a\0b")`:           "true",
		`return crypto.equal("a\0b", "a\0c")`:           "false",
		`return crypto.equal("a", "ab")`:                "false",
		`return crypto.equal("", "")`:                   "true",
		`return #crypto.secret("other")`:                "32",
		`local s = crypto.secret("many0"); for i = 1, 200 do crypto.secret("many" .. i) end; return s == crypto.secret("many0")`: "true",
		`return crypto.secret("other") ~= crypto.secret("sessions")`:                                                             "true",
	} {
		if got := s.lua(0, code); got != want {
			t.Errorf("%s: %s, want %s", code, got, want)
		}
	}
	for code, want := range map[string]string{
		`crypto.random(0)`:              "bad argument #1 to 'random' (a number from 1 to 1048576 expected)",
		`crypto.random(0/0)`:            "a number from 1",
		`crypto.random("x")`:            "number expected",
		`crypto.secret("")`:             "a name of 1 to 128 bytes expected",
		`crypto.secret(("x"):rep(129))`: "a name of 1 to 128 bytes expected",
		`crypto.sha256()`:               "string expected",
		`crypto.hmac_sha256("key")`:     "string expected",
		`crypto.equal("a", nil)`:        "string expected",
	} {
		if got := s.lua(0, code); !strings.Contains(got, want) {
			t.Errorf("%s: %s, want %s", code, got, want)
		}
	}
}

// All workers have the same secret, and keep it over reloads and in a process that takes over. Another server has another one.
func TestSecretIsKept(t *testing.T) {
	t.Parallel()
	s := start(t, "testdata/crypto.lua")
	secret := s.lua(0, `return hex(at_load)`)
	fresh := s.lua(0, `return hex(crypto.secret("made in a worker"))`)
	check := func(when string) {
		t.Helper()
		for range 8 {
			if got := s.lua(0, `return hex(at_load)`); got != secret {
				t.Errorf("%s: %s, want %s", when, got, secret)
			}
			if got := s.lua(0, `return hex(crypto.secret("made in a worker"))`); got != fresh {
				t.Errorf("%s: %s, want %s", when, got, fresh)
			}
		}
	}
	check("at first")
	s.mustReload()
	check("after a reload")
	pid := s.pid()
	if err := syscall.Kill(pid, syscall.SIGUSR2); err != nil {
		t.Fatal(err)
	}
	s.wait("msg=stopped")
	heir, err := strconv.Atoi(field(s.wait("handed over"), "pid"))
	if err != nil {
		t.Fatal(err)
	}
	check("in another process")
	s.endOf(heir)
	if other := start(t, "testdata/crypto.lua"); other.lua(0, `return hex(at_load)`) == secret {
		t.Error("another server has the same secret")
	}
}

// A module that is loaded too late can do everything else.
func TestSecretTooLate(t *testing.T) {
	t.Parallel()
	a := newApplication(t)
	a.write(`@ listen{port, connect = http.generate_handler(function(request)
	local crypto = require "moonbridge_crypto"
	request:send_status("200 OK")
	request:send_data(#crypto.random(4), " ", select(2, pcall(crypto.secret, "x")))
end)}`)
	s := start(t, a.script)
	if got := get(t, s.url("/")); got != "4 secret: moonbridge_crypto has to be loaded while the script is loaded" {
		t.Errorf("%q", got)
	}
}
