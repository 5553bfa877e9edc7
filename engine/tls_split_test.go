package engine

import (
	"bytes"
	"testing"
)

// The pieces of a record have its bytes, headers of their own, and are read one by one; what follows the record is read as it is.
func TestTLSSplit(t *testing.T) {
	for _, n := range []int{1, 100, 507, 508, 1014, 1015, 1700, 2028, 4056, 4096, 4097, 9000} {
		record := append([]byte{22, 3, 1, byte(n >> 8), byte(n)}, noise(n)...)
		in := append(bytes.Clone(record), "what follows"...)
		s, out := splitFirst(bytes.Clone(in))
		if n <= 507 || n > splitMax {
			if s != (split{}) || !bytes.Equal(out, in) || len(s.next(out, 3)) != len(in)-3 {
				t.Errorf("%d bytes: divided", n)
			}
			continue
		}
		var message []byte
		used := 0
		for used < s.end {
			piece := s.next(out, used)
			used += len(piece)
			size := int(piece[3])<<8 | int(piece[4])
			if len(piece) > splitBytes || size != len(piece)-tlsHeaderBytes || !bytes.Equal(piece[:3], in[:3]) {
				t.Fatalf("%d bytes: a piece of %d with the header %v", n, len(piece), piece[:5])
			}
			if part := s.next(out, used-1); len(part) != 1 {
				t.Errorf("%d bytes: %d are read where a piece has 1 left", n, len(part))
			}
			message = append(message, piece[tlsHeaderBytes:]...)
		}
		if !bytes.Equal(message, record[tlsHeaderBytes:]) || string(s.next(out, used)) != "what follows" {
			t.Errorf("%d bytes: %d in pieces, then %q", n, len(message), s.next(out, used))
		}
	}
}
