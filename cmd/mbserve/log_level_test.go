package main

import (
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// In the journal, lines have their level. Anything else that standard error may be gets the lines as they are.
func TestJournalLevels(t *testing.T) {
	for _, c := range []struct{ given, want string }{
		{"", "level=DEBUG level=INFO level=WARN level=ERROR "},
		{"1:2", "level=DEBUG level=INFO level=WARN level=ERROR "},
		{"its own", "<7>level=DEBUG <6>level=INFO <4>level=WARN <3>level=ERROR "},
	} {
		f, err := os.Create(filepath.Join(t.TempDir(), "stderr"))
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		if c.given == "its own" {
			info, err := f.Stat()
			if err != nil {
				t.Fatal(err)
			}
			st := info.Sys().(*syscall.Stat_t)
			c.given = fmt.Sprintf("%d:%d", st.Dev, st.Ino)
		}
		t.Setenv("JOURNAL_STREAM", c.given)
		log, queue, _, err := openServerLog(&options{logFormat: logText, debug: true}, f, nil, nil)
		if err != nil {
			t.Fatal(err)
		}
		for _, level := range []slog.Level{slog.LevelDebug, slog.LevelInfo, slog.LevelWarn, slog.LevelError} {
			log.With("a", 1).WithGroup("g").Log(t.Context(), level, "hello", "b", 2)
		}
		queue.Close(logCloseTimeout)
		text, err := os.ReadFile(f.Name())
		if err != nil {
			t.Fatal(err)
		}
		got := ""
		for line := range strings.Lines(string(text)) {
			begin, _, _ := strings.Cut(line, "time=")
			_, rest, _ := strings.Cut(line, "level=")
			level, rest, _ := strings.Cut(rest, " ")
			if rest != "msg=hello a=1 g.b=2\n" {
				t.Errorf("%q", line)
			}
			got += begin + "level=" + level + " "
		}
		if got != c.want {
			t.Errorf("JOURNAL_STREAM=%q: %q, want %q", c.given, got, c.want)
		}
	}
}

// In the journal, each line is a message.
func TestJournalLevelsOfLines(t *testing.T) {
	var b strings.Builder
	o := handlerOptions(false)
	log := slog.New(journalHandler(func(w io.Writer) slog.Handler { return logPlain.handler(w, o) })(&b))
	log.Error("first\nsecond", "traceback", "stack:\n\tapp.lua:1\n")
	n := 0
	for line := range strings.Lines(b.String()) {
		if n++; !strings.HasPrefix(line, "<3>") {
			t.Errorf("%q", line)
		}
	}
	if n != 4 {
		t.Errorf("%d lines: %q", n, b.String())
	}
}

// What scripts print does not set the level of a line in the journal, wherever the pieces end.
func TestJournalLines(t *testing.T) {
	text := "<0>a\n\n<<1>b\nc<2>\n<3>"
	want := "<6><0>a\n\n<6><<1>b\nc<2>\n<6><3>"
	for n := 1; n <= len(text); n++ {
		var got strings.Builder
		j := journalLines{to: &got}
		for rest := text; rest != ""; {
			piece := rest[:min(n, len(rest))]
			rest = rest[len(piece):]
			if k, err := j.Write([]byte(piece)); k != len(piece) || err != nil {
				t.Fatalf("%q: %d, %v", piece, k, err)
			}
		}
		if got.String() != want {
			t.Errorf("pieces of %d bytes: %q, want %q", n, got.String(), want)
		}
	}
	full := target{room: 9}
	if n, err := (&journalLines{to: &full}).Write([]byte("abc\n<0>def\n")); n != 6 || err == nil {
		t.Errorf("%d, %v", n, err)
	}
}

// target takes some bytes, and then no more.
type target struct{ room int }

func (f *target) Write(p []byte) (int, error) {
	n := min(f.room, len(p))
	f.room -= n
	if n < len(p) {
		return n, io.ErrShortWrite
	}
	return n, nil
}
