package worker

import (
	"io"
	"regexp"
	"strings"
	"testing"
)

func TestFiles(t *testing.T) {
	w := mustLoad(t, "file.lua").fork(0, small)
	for _, c := range []struct{ name, input, want string }{
		{"types", "buffered", `
file|file|file (
nil|Illegal seek|29
nil|Illegal seek|29
nil|Illegal seek|29
true|true
buffered
true|closed file|file
`},
		{"formats", "one\ntwo\nthree\nfour\n 1.5 -3x\x00yz,rest\nof\nit", `
one|two|three
|four
|1.5|-3
|x|` + "\x00yz," + `
rest
of
it
|nil|nil|nil|nil
`},
		{"io", "1\n2\n3\n4\n5", `
1|true
<2><3>4
5end
`},
		{"readuntil", "line\n\x00;abcde;\x00\xffzz", `
line

` + "\x00;\nab\ncd\ne;\x00\n\xff" + `

zz
nil
nil
`},
		{"files", "", `
true|true
a,|b,|1
100002|tail|nil
b|,|1|5000|5005
one;|two|nil|true
nil|Is a directory|21
`},
		{"leave", "", "\nleft\n"},
		{"after", "", "\nclosed file|closed file\n"},
		{"replaced", "", "\nfine\n"},
		{"types", "once more", `
file|file|file (
nil|Illegal seek|29
nil|Illegal seek|29
nil|Illegal seek|29
true|true
once more
true|closed file|file
`},
	} {
		w.on(c.name, c.input, c.want)
	}
	w.quit()
	if s := w.stderr.all(t); s != strings.Repeat("io.close: true closed file\n", 2) {
		t.Errorf("standard error: %s", s)
	}
}

func TestReaduntilMisuse(t *testing.T) {
	w := mustLoad(t, "file.lua").fork(0, small)
	c := w.connect(0)
	c.sendEnd("readuntil_misuse\nabc")
	got, err := c.read()
	c.over(0)
	got = regexp.MustCompile(`testdata/file\.lua:\d+`).ReplaceAllString(got, "at")
	got = regexp.MustCompile(`#1 to '\S+'`).ReplaceAllString(got, "#1")
	const want = `false|at: readuntil: the terminator must be a string of one byte, not a no value
false|at: readuntil: the terminator must be a string of one byte, not a number
false|at: readuntil: the terminator must be one byte, not 0
false|at: readuntil: the terminator must be one byte, not 2
false|at: readuntil: maxlen must be a number of bytes, not a string
false|at: readuntil: maxlen must be a whole number of 0 or more
false|at: readuntil: maxlen must be a whole number of 0 or more
false|at: readuntil: maxlen must be a whole number of 0 or more
false|at: bad argument #1 (FILE* expected, got string)
false|at: attempt to use a closed file
`
	if got != want || err != nil {
		t.Errorf("client read\n%s%v; want\n%s", got, err, want)
	}
}

func TestReaduntilLarge(t *testing.T) {
	w := mustLoad(t, "file.lua").fork(0, small)
	c := w.connect(0)
	go func() {
		io.WriteString(c.client, "large\n"+strings.Repeat("\n", 1<<20)+".\n"+strings.Repeat("y", 8<<20)+".")
		c.client.(interface{ CloseWrite() error }).CloseWrite()
	}()
	c.expect("1048577|8388609|.|nil\n")
	c.over(0)
}

// Terminator and input are cut at every place between two segments.
func TestReaduntilCut(t *testing.T) {
	w := mustLoad(t, "file.lua").fork(0, small)
	const input = "ab;c;;x"
	for cut := range len(input) + 1 {
		c := w.connect(0)
		c.send("readuntil\n\n" + input[:cut])
		c.sendEnd(input[cut:])
		c.expect("\n\nab;\nc;\n;\nx\nnil\nnil\nnil\nnil\nnil\n")
		c.over(0)
	}
}
