package crash

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
)

// replaced are fields that a replayed request does not have: it is framed by its length, and its body is not waited for.
var replaced = []string{"content-length", "transfer-encoding", "expect", "trailer"}

// Bytes is the request as it is sent again: its body is as long as what is known of it.
func (q *Request) Bytes() ([]byte, error) {
	head := bytes.TrimRight(q.Head, "\r\n")
	line, fields, _ := bytes.Cut(head, []byte("\n"))
	line = bytes.TrimRight(line, "\r")
	if bytes.Count(line, []byte(" ")) < 2 {
		return nil, fmt.Errorf("the head of the request is not known")
	}
	var b bytes.Buffer
	b.Write(line)
	b.WriteString("\r\n")
	framed, drop := false, false
	for text := range bytes.SplitSeq(fields, []byte("\n")) {
		text = bytes.TrimRight(text, "\r")
		if len(text) == 0 {
			continue
		}
		if text[0] != ' ' && text[0] != '\t' {
			name, _, _ := strings.Cut(string(text), ":")
			drop = isReplaced(name)
			framed = framed || drop && !strings.EqualFold(name, "Expect") && !strings.EqualFold(name, "Trailer")
		}
		if !drop {
			b.Write(text)
			b.WriteString("\r\n")
		}
	}
	if framed || len(q.Body) > 0 {
		fmt.Fprintf(&b, "Content-Length: %d\r\n", len(q.Body))
	}
	b.WriteString("\r\n")
	b.Write(q.Body)
	return b.Bytes(), nil
}

func isReplaced(name string) bool {
	return slices.ContainsFunc(replaced, func(r string) bool { return strings.EqualFold(name, r) })
}
