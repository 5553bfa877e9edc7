package pool

import (
	"fmt"
	"io"
	"log/slog"
	"strings"
	"testing"
	"time"
)

func TestLines(t *testing.T) {
	var out logBuffer
	l := newLineLog(slog.New(slog.NewTextHandler(&out, nil)))
	l.copy(io.NopCloser(strings.NewReader("one\n\n"+strings.Repeat("x", 3*lineMax)+"\nlast")), nil, slog.Int("pid", 7))
	got := out.String()
	if !strings.Contains(got, "msg=one pid=7") || !strings.Contains(got, "msg=last pid=7") || strings.Count(got, "\n") != 4 {
		t.Errorf("%.500s", got)
	}
	if n := strings.Count(got, "x"); n != lineMax || !strings.Contains(got, fmt.Sprintf("… (%d more bytes)", 2*lineMax)) {
		t.Errorf("%d bytes of a line", n)
	}
}

// However the bytes come, the lines are the same.
func TestLinesInPieces(t *testing.T) {
	text := "one\n\ttwo\r\n\nbad\x00\xff\x1b[0m\u00e4\u202e\n" + strings.Repeat("y", lineMax+10) + "\nend"
	want := []string{"one", "\ttwo", "", `bad\x00\xff\x1b[0m` + "\u00e4" + `\xe2\x80\xae`, strings.Repeat("y", lineMax) + "… (10 more bytes)", "end"}
	for _, size := range []int{1, 2, 7, 1000, 1 << 20} {
		var got []string
		s := splitter{emit: func(line string) { got = append(got, line) }}
		for i := 0; i < len(text); i += size {
			s.write([]byte(text[i:min(i+size, len(text))]))
			if cap(s.line) > 2*lineMax {
				t.Fatalf("%d bytes held", cap(s.line))
			}
		}
		s.end()
		if fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("pieces of %d: %.300q", size, got)
		}
	}
}

// Floods are cut off and counted. The count is logged without a further line.
func TestLinesFlood(t *testing.T) {
	var out logBuffer
	l := newLineLog(slog.New(slog.NewTextHandler(&out, nil)))
	l.copy(io.NopCloser(strings.NewReader(strings.Repeat("y\n", 10*linesBurst))), nil)
	if n := strings.Count(out.String(), "msg=y"); n < linesBurst || n > 2*linesBurst {
		t.Errorf("%d lines of a flood", n)
	}
	eventually(t, "count of dropped lines", func() bool { return strings.Contains(out.String(), "dropped: too many") })
	time.Sleep(2 * time.Second / linesPerSecond)
	l.line("after", nil)
	if !strings.Contains(out.String(), "msg=after") {
		t.Error("nothing is logged after the flood")
	}
}
