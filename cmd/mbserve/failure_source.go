package main

import (
	"bufio"
	"fmt"
	"html"
	"io"
	"os"
	"regexp"
	"strconv"
	"strings"
)

// The page of a script that cannot be loaded shows the lines that the error names. Only files that have been loaded, or were about
// to be, are shown, whatever the text of the error says.

const (
	failurePlaces = 5   // that are shown
	failureAround = 4   // lines before and after each of them
	failureLine   = 300 // bytes of a line that are shown
	failureFile   = 16 << 20
)

var placeInText = regexp.MustCompile(`^\s*([^\n:][^\n]{0,299}?):(\d{1,8}):`)

// sourcesOf returns the lines around the places that begin the lines of an error's text, as HTML. find returns the path of a file
// that is known by its name in the text, or nothing.
func sourcesOf(text string, find func(name string) string) string {
	var page strings.Builder
	seen := make(map[string]bool)
	for line := range strings.Lines(text) {
		m := placeInText.FindStringSubmatch(line)
		if m == nil || len(seen) == failurePlaces {
			continue
		}
		path, wanted := find(m[1]), 0
		if path != "" {
			wanted, _ = strconv.Atoi(m[2])
		}
		if place := path + ":" + m[2]; wanted > 0 && !seen[place] {
			seen[place] = true
			writeSource(&page, path, wanted)
		}
	}
	return page.String()
}

// writeSource writes the lines around one.
func writeSource(page *strings.Builder, path string, wanted int) {
	info, err := os.Stat(path)
	if err != nil || !info.Mode().IsRegular() || info.Size() > failureFile {
		return
	}
	f, err := os.Open(path)
	if err != nil {
		return
	}
	defer f.Close()
	r := bufio.NewReader(f)
	fmt.Fprintf(page, "<h2>%s:%d</h2>\n<pre>", html.EscapeString(path), wanted)
	for n := 1; n <= wanted+failureAround; n++ {
		line, err := r.ReadString('\n')
		if err != nil && (err != io.EOF || line == "") {
			break
		}
		if n < wanted-failureAround {
			continue
		}
		line = strings.TrimRight(line, "\r\n")
		text := fmt.Sprintf("%5d  %s", n, html.EscapeString(strings.ToValidUTF8(line[:min(len(line), failureLine)], "�")))
		if n == wanted {
			text = "<b>" + text + "</b>"
		}
		page.WriteString(text + "\n")
	}
	page.WriteString("</pre>\n")
}

// find returns the path of a file that the script has loaded, by its name in an error's text: Lua replaces the beginning of a long one by
// "...". A name may be the end of several paths. It is that of the file which it leads to, if that is one of them.
func (w *fileWatch) find(name string) string {
	if w == nil {
		return ""
	}
	short, cut := strings.CutPrefix(name, "...")
	if !cut {
		for strings.HasPrefix(short, "./") {
			short = short[2:]
		}
	}
	if short == "" {
		return ""
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	best, leads := "", false
	for path, f := range w.files {
		if f.generation < w.since || !strings.HasSuffix(path, short) {
			continue
		}
		if whole := cut || len(path) == len(short) || path[len(path)-len(short)-1] == '/'; !whole {
			continue
		}
		is := !cut && sameFile(short, path)
		if best == "" || is && !leads || is == leads && path < best {
			best, leads = path, is
		}
	}
	return best
}
