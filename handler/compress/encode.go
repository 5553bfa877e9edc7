package compress

import "moonbridge/httpparse"

// filesLevel is the level for files. They are compressed once and sent often.
const filesLevel = 7

// Encode returns content in a coding, or nil if that would be no smaller. It takes as long as that takes: it is for files, which
// are compressed once, and not for a loop.
func (s *Shared) Encode(c httpparse.Coding, content []byte) []byte {
	j := &job{kind: kind{c, filesLevel}, in: content, finish: true}
	if j.run(s); j.err != nil || len(j.out) >= len(content) {
		return nil
	}
	return j.out
}
