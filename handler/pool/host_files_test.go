package pool

import (
	"errors"
	"slices"
	"testing"
)

func TestDecodeFiles(t *testing.T) {
	got, err := decodeFiles([]byte("17 4 99 /a b\n\x00-1 0 0 /c\x00"))
	if want := []File{{"/a b\n", 17, 4, 99}, {"/c", -1, 0, 0}}; err != nil || !slices.Equal(got, want) {
		t.Errorf("%v, %v", got, err)
	}
	for _, bad := range []string{"1 2 3 /a", "1 2 3 a\x00", "1 2 /a\x00", "x 2 3 /a\x00", "1 2 -3 /a\x00", "1 2 3 \x00", "\x00"} {
		if got, err := decodeFiles([]byte(bad)); !errors.Is(err, errMessage) {
			t.Errorf("%q: %v, %v", bad, got, err)
		}
	}
}
