package bus

import (
	"strings"
	"testing"
)

func TestParseAddress(t *testing.T) {
	for text, want := range map[string]string{
		"redis://host":                                 "redis://host:6379",
		"redis://:secret@host:1/5":                     "redis://host:1/5",
		"rediss://user:se%2Fcret@[::1]/?stream=chat-1": "rediss://[::1]:6379?stream=chat-1",
		"redis://user:se@cret@host/0":                  "redis://host:6379",
		"nats://host":                                  "nats://host:4222",
		"tls://token@a:1,b,[::1]:2?stream=x":           "tls://a:1,b:4222,[::1]:2?stream=x",
		"redis+sentinel://u:secret@a,b:1/2?master=m&sentinel_user=s&sentinel_password=secret": `redis+sentinel://a:26379,b:1/2 (master "m")`,
		"rediss+cluster://:secret@a,b:7000":                                                   "rediss+cluster://a:6379,b:7000",
	} {
		a, err := ParseAddress(text)
		if err != nil || a.String() != want {
			t.Errorf("%s: %v, %v; want %s", text, a, err, want)
		}
	}
	a, err := ParseAddress("rediss://user:se%2Fcret@host")
	if err != nil || a.user != "user" || a.password != "se/cret" || a.tls() == nil {
		t.Errorf("%+v, %v", a, err)
	}
	for _, text := range []string{
		"", "host", "http://secret@host", "redis://", "redis://secret@", "redis://secret@host:", "redis://secret@host:99999", "redis://:secret@host/x",
		"redis://secret@host/-1", "redis://secret@host?db=1", "redis://secret@host?stream=", "redis://secret@host?stream=a&stream=b", "redis://secret@host?stream=a.b",
		"redis://u:secret#x@host", "redis://u:secret@host#x", "nats://secret@host/1", "redis://secret@a,b", "redis://u:sec%ret@host", "redis://secret@ho st", "nats://secret@a,,b",
		"redis+sentinel://:secret@a", "redis+sentinel://:secret@a?master=", "redis+cluster://:secret@a/1", "redis+cluster://a?master=secret", "redis://a?sentinel_password=secret",
		"redis://a?ca=/secret", "nats://u:secret@a?creds=x", "nats://a?creds=x&nkey=secret", "rediss://:secret@a?cert=x", "nats://:secret@a?nkey=y", "nats+cluster://secret@a",
		"redis://secret@host?stream=" + strings.Repeat("x", nameMax+1), "redis://secret@host?%zz", "redis://secret\x01@host",
	} {
		if a, err := ParseAddress(text); err == nil {
			t.Errorf("%s: taken as %+v", text, a)
		} else if strings.Contains(err.Error(), "sec") {
			t.Errorf("%s: the error shows the password: %v", text, err)
		}
	}
}
