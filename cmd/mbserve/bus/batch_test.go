package bus

import (
	"reflect"
	"strings"
	"testing"

	"moonbridge/handler/channel"
)

func TestBatch(t *testing.T) {
	b := &batch{origin: 1 << 63, number: 300, entries: []channel.Entry{
		{Channel: "a", Post: channel.Post{Data: strings.Repeat("x", channel.DataMax), Event: "e", ID: "i", Key: "k", Binary: true}},
		{Channel: "b"},
	}}
	data := b.append(nil)
	if got, err := parseBatch(data); err != nil || !reflect.DeepEqual(got, b) {
		t.Errorf("%.200v, %v", got, err)
	}
	for i := range data[:30] {
		if got, err := parseBatch(data[:i]); err == nil && len(got.entries) > 0 {
			t.Errorf("%d bytes: taken as %.100v", i, got)
		}
	}
	b.entries = make([]channel.Entry, batchMessages)
	if _, err := parseBatch(b.append(nil)); err != nil {
		t.Errorf("as many messages as there may be: %v", err)
	}
	b.entries = make([]channel.Entry, batchMessages+1)
	if _, err := parseBatch(b.append(nil)); err == nil {
		t.Error("taken: too many messages")
	}
}

func FuzzParseBatch(f *testing.F) {
	f.Add((&batch{origin: 1, number: 2, entries: []channel.Entry{{Channel: "a", Post: channel.Post{Data: "b", Binary: true}}, {Channel: "c"}}}).append(nil))
	f.Fuzz(func(t *testing.T, data []byte) {
		b, err := parseBatch(data)
		if err != nil {
			return
		}
		again, err := parseBatch(b.append(nil))
		if err != nil || !reflect.DeepEqual(b, again) {
			t.Errorf("%v, then %v, %v", b, again, err)
		}
	})
}
