package shm

import (
	"bytes"
	"slices"
	"testing"
	"unsafe"
)

// subscriptionOf is what a worker publishes.
func subscriptionOf(b SubscriptionBody, fields, names, after, key, first string) []byte {
	b.FieldsLen, b.NamesLen, b.AfterLen = uint32(len(fields)), uint32(len(names)), uint32(len(after))
	b.KeyLen, b.FirstLen = uint32(len(key)), uint32(len(first))
	return append(slices.Clone(Bytes(&b)), fields+names+after+key+first...)
}

func TestSubscription(t *testing.T) {
	m := subscriptionOf(SubscriptionBody{Flags: SubscribePoll, RetryMS: 5}, "A: b\r\nC: \r\n", "one\x00two\x00", "id", "key", "first")
	s, err := ReadSubscription(m)
	if err != nil || !slices.Equal(s.Names, []string{"one", "two"}) || string(s.Fields) != "A: b\r\nC: \r\n" || s.After != "id" || s.Key != "key" ||
		s.First != "first" || s.RetryMS != 5 || s.Flags != SubscribePoll {
		t.Errorf("%+v, %v", s, err)
	}
	for name, bad := range map[string][]byte{
		"empty": nil, "short": m[:20], "cut": m[:len(m)-1], "longer": append(slices.Clone(m), 'x'),
		"no channel": subscriptionOf(SubscriptionBody{}, "", "", "", "", ""), "no end": subscriptionOf(SubscriptionBody{}, "", "a", "", "", ""),
		"too many":      subscriptionOf(SubscriptionBody{}, "", string(bytes.Repeat([]byte("a\x00"), namesMax+1)), "", "", ""),
		"no field":      subscriptionOf(SubscriptionBody{}, "Ab\r\n", "a\x00", "", "", ""),
		"end of head":   subscriptionOf(SubscriptionBody{}, "A: b\r\n\r\n", "a\x00", "", "", ""),
		"line not over": subscriptionOf(SubscriptionBody{}, "A: b", "a\x00", "", "", ""),
	} {
		if _, err := ReadSubscription(bad); err == nil {
			t.Errorf("%s: taken", name)
		}
	}
}

func TestAsk(t *testing.T) {
	b := AskBody{NameLen: 1, EventLen: 2, IDLen: 0, KeyLen: 1, Max: 7}
	m := append(slices.Clone(Bytes(&b)), "neekdata"...)
	a, err := ReadAsk(m)
	if err != nil || string(a.Name) != "n" || string(a.Event) != "ee" || string(a.Key) != "k" || string(a.Data) != "data" || a.Max != 7 {
		t.Errorf("%+v, %v", a, err)
	}
	for _, n := range []int{0, 10, int(unsafe.Sizeof(b)), int(unsafe.Sizeof(b)) + 3} {
		if _, err := ReadAsk(m[:n]); err == nil {
			t.Errorf("%d bytes: taken", n)
		}
	}
}

// What a worker sends is taken with all its parts, or not at all.
func FuzzChannels(f *testing.F) {
	f.Add(subscriptionOf(SubscriptionBody{}, "A: b\r\n", "one\x00", "id", "key", "first"))
	b := AskBody{NameLen: 1, Max: 7}
	f.Add(append(slices.Clone(Bytes(&b)), "name"...))
	f.Fuzz(func(t *testing.T, m []byte) {
		if s, err := ReadSubscription(m); err == nil {
			n := len(s.Fields) + len(s.After) + len(s.Key) + len(s.First) + int(unsafe.Sizeof(s.SubscriptionBody))
			for _, name := range s.Names {
				n += len(name) + 1
			}
			if n != len(m) || bytes.Contains(s.Fields, []byte("\r\n\r\n")) {
				t.Errorf("%d of %d bytes: %+v", n, len(m), s)
			}
		}
		if a, err := ReadAsk(m); err == nil {
			n := len(a.Name) + len(a.Event) + len(a.ID) + len(a.Key) + len(a.Data) + int(unsafe.Sizeof(AskBody{}))
			if n != len(m) || a.Max < 0 {
				t.Errorf("%d of %d bytes: %+v", n, len(m), a)
			}
		}
	})
}
