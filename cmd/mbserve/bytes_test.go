package main

import "testing"

func TestByteCount(t *testing.T) {
	for _, c := range []struct {
		text string
		want byteCount
		back string
	}{
		{"0", 0, "0"}, {"1", 1, "1"}, {"1023", 1023, "1023"}, {"1024", 1024, "1k"}, {"3k", 3072, "3k"},
		{"5M", 5 << 20, "5M"}, {"4G", 4 << 30, "4G"}, {"4294967296", 4 << 30, "4G"}, {"2T", 2 << 40, "2T"},
		{"2048T", 2048 << 40, "2048T"}, {"4194304T", 1 << 62, "4194304T"},
	} {
		var n byteCount
		if err := n.Set(c.text); err != nil || n != c.want || n.String() != c.back {
			t.Errorf("%s: %d, %v, %s", c.text, n, err, n.String())
		}
	}
	for _, text := range []string{"", "k", "-1", "1.5", "1K", "1 k", "x", "4194305T", "9223372036854775808", "-1k"} {
		n := byteCount(7)
		if err := n.Set(text); err == nil || n != 7 {
			t.Errorf("%q: %d, %v", text, n, err)
		}
	}
}
