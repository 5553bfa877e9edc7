package shm

import (
	"bytes"
	"slices"
	"strings"
	"testing"
)

// acceptance is a mb_ws_accept with these texts.
func acceptance(fields, names, after, member, handler, state, key, protocol, extensions string) []byte {
	texts := []string{fields, names, after, member, handler, state, key, protocol, extensions}
	b := WSAcceptBody{MessageMax: 100}
	for i, at := range []*uint32{&b.FieldsLen, &b.NamesLen, &b.AfterLen, &b.MemberLen, &b.HandlerLen, &b.StateLen, &b.KeyLen, &b.ProtocolLen, &b.ExtensionsLen} {
		*at = uint32(len(texts[i]))
	}
	return append(slices.Clone(Bytes(&b)), strings.Join(texts, "")...)
}

// limited is one whose client has a rate.
func limited(interval uint64, burst uint32) []byte {
	m := acceptance("", "", "", "", "h", "", "", "", "")
	var b WSAcceptBody
	copy(Bytes(&b), m)
	b.Interval, b.Burst = interval, burst
	return append(slices.Clone(Bytes(&b)), m[len(Bytes(&b)):]...)
}

func TestReadWSAccept(t *testing.T) {
	good := acceptance("A: b\r\n", "x\x00y\x00", "1", "me", "chat", "state", "key", "v1", "deflate")
	s, err := ReadWSAccept(good)
	if err != nil || string(s.Fields) != "A: b\r\n" || !slices.Equal(s.Names, []string{"x", "y"}) || s.After != "1" || s.Member != "me" ||
		s.Handler != "chat" || string(s.State) != "state" || s.Key != "key" || s.Protocol != "v1" || s.Extensions != "deflate" {
		t.Errorf("%+v, %v", s, err)
	}
	if s, err := ReadWSAccept(limited(WSIntervalMax, WSRateMax)); err != nil || s.Interval != WSIntervalMax || s.Burst != WSRateMax {
		t.Errorf("%+v, %v", s, err)
	}
	for name, m := range map[string][]byte{
		"cut":          good[:len(good)-1],
		"too long":     append(slices.Clone(good), 0),
		"only a head":  good[:10],
		"no NUL":       acceptance("", "x", "", "", "h", "", "", "", ""),
		"many names":   acceptance("", strings.Repeat("x\x00", 65), "", "", "h", "", "", "", ""),
		"large state":  acceptance("", "", "", "", "h", strings.Repeat("x", WSStateMax+1), "", "", ""),
		"long handler": acceptance("", "", "", "", strings.Repeat("x", WSNameMax+1), "", "", "", ""),
		"no field":     acceptance("A: b\r\n\r\n", "", "", "", "h", "", "", "", ""),
		"rare":         limited(WSIntervalMax+1, 1),
		"large burst":  limited(1, WSRateMax+1),
	} {
		if s, err := ReadWSAccept(m); err == nil {
			t.Errorf("%s: %+v", name, s)
		}
	}
}

// FuzzReadWSAccept: what is accepted is within its bounds, and refers to no byte of the message.
func FuzzReadWSAccept(f *testing.F) {
	f.Add(acceptance("A: b\r\n", "x\x00y\x00", "1", "me", "chat", "state", "key", "v1", "deflate"))
	f.Add(acceptance("", "", "", "", "h", "", "", "", ""))
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, m []byte) {
		s, err := ReadWSAccept(m)
		if err != nil {
			return
		}
		if len(s.State) > WSStateMax || len(s.Handler) > WSNameMax || s.MessageMax > WSMessageMax || len(s.Names) > namesMax || !isFields(s.Fields) {
			t.Errorf("%+v", s)
		}
		state, fields := bytes.Clone(s.State), bytes.Clone(s.Fields)
		for i := range m {
			m[i] ^= 0xff
		}
		if !bytes.Equal(state, s.State) || !bytes.Equal(fields, s.Fields) {
			t.Error("a text is a view")
		}
	})
}

// verbs appends a verb.
func verb(b []byte, kind uint32, data string) []byte {
	return append(append(b, Bytes(&WSVerbHead{kind, uint32(len(data))})...), data...)
}

// Verbs are the same in whatever pieces they come, and a large one in many pieces is not copied for each of them.
func TestWSVerbs(t *testing.T) {
	large := strings.Repeat("x", WSMessageMax)
	b := verb(verb(verb(nil, WSSendText, "hello"), WSSendBinary, large), WSEnd, "")
	for _, size := range []int{1, 7, 4096, len(b)} {
		var v WSVerbs
		var got []string
		for p := range slices.Chunk(b, size) {
			if err := v.Add(p, func(verb uint32, data []byte) { got = append(got, string(rune('0'+verb))+string(data)) }); err != nil {
				t.Fatal(err)
			}
		}
		if !slices.Equal(got, []string{"1hello", "2" + large, "3"}) || !v.Whole() {
			t.Errorf("in pieces of %d: %d verbs", size, len(got))
		}
	}
	for _, wrong := range [][]byte{verb(nil, 0, ""), verb(nil, WSDone+1, ""), Bytes(&WSVerbHead{WSSendText, WSMessageMax + 1})} {
		if v := new(WSVerbs); v.Add(wrong, func(uint32, []byte) {}) == nil {
			t.Errorf("%q is a verb", wrong)
		}
	}
}

// Records are read only as far as they are there.
func TestWSRecords(t *testing.T) {
	b := AppendWSRecord(AppendWSRecord(nil, WSMessage, 1, []byte("one")), WSMessage, 2, []byte("three"))
	if got := string(WSRecordData(b, 0)) + " " + string(WSRecordData(b, 1)); got != "one three" {
		t.Errorf("%q", got)
	}
	if n := len(SkipWSRecords(b, 1)); n != WSRecordHead+5 {
		t.Errorf("%d bytes after the first one", n)
	}
	for n := range len(b) {
		for i := range 4 {
			if got := WSRecordData(b[:n], i); !strings.HasPrefix("one", string(got)) && !strings.HasPrefix("three", string(got)) {
				t.Errorf("record %d of %d bytes: %q", i, n, got)
			}
			SkipWSRecords(b[:n], i)
		}
	}
	if got := SkipWSRecords(Bytes(&WSRecord{Len: 1<<32 - 1}), 1); len(got) != 0 {
		t.Errorf("%d bytes after a record that is too long", len(got))
	}
}
