package static

import (
	"errors"
	"fmt"
	"html"
	"io"
	"os"
	"path"
	"slices"
	"strings"
	"time"
	"unicode/utf8"
)

// listingMax bounds the names on a page, and with them the memory that a large directory costs.
const listingMax = 10_000

// namesAtOnce is how many names are read from a directory at a time.
const namesAtOnce = 512

// listed is a line of a listing.
type listed struct {
	name      string
	directory bool
	size      int64
	modified  time.Time
}

// list makes the page for a directory. key is its path in requests.
func (o *opened) list(name, key string, r *rule) ([]byte, error) {
	f, err := o.openDirectory(name, r.Symlinks)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	var lines []listed
	more := false
	for !more {
		entries, err := f.ReadDir(namesAtOnce)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, err
		}
		for _, entry := range entries {
			line, ok := o.listed(path.Join(name, entry.Name()), entry, r)
			if !ok {
				continue
			}
			if more = len(lines) == listingMax; more {
				break
			}
			lines = append(lines, line)
		}
	}
	slices.SortFunc(lines, func(a, b listed) int {
		if a.directory != b.directory {
			return map[bool]int{true: -1, false: 1}[a.directory]
		}
		return strings.Compare(a.name, b.name)
	})
	return listingPage(key, r.Prefix, lines, more), nil
}

// listed makes the line for a name. ok is false for what would not be served either.
func (o *opened) listed(name string, entry os.DirEntry, r *rule) (line listed, ok bool) {
	line.name = entry.Name()
	if !r.Dotfiles && hidden(line.name) || strings.Contains(line.name, `\`) {
		return line, false
	}
	if t := entry.Type(); !t.IsRegular() && !t.IsDir() && t&os.ModeSymlink == 0 {
		return line, false
	}
	i, err := o.stat(name, r.Symlinks)
	if err != nil || i.kind == kindOther {
		return line, false
	}
	line.directory, line.size, line.modified = i.kind == kindDirectory, i.size, time.Unix(0, i.modified)
	return line, true
}

const listingHead = `<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>%[1]s</title>
<style>
:root{color-scheme:light dark}
body{font:16px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem}
h1{font-size:1.25rem;overflow-wrap:anywhere}
table{border-collapse:collapse;width:100%%}
th,td{text-align:left;padding:.3rem .6rem;border-bottom:1px solid #8884}
th{font-weight:600}
th:first-child{width:100%%}td:first-child{overflow-wrap:anywhere}
.n{text-align:right;white-space:nowrap;font-variant-numeric:tabular-nums}
td.n,.note{color:color-mix(in srgb,currentColor 70%%,transparent)}
a{text-decoration:none}a:hover{text-decoration:underline}
@media(max-width:34rem){td:last-child{white-space:normal;min-width:7rem}}
</style>
</head>
<body>
<h1>%[1]s</h1>
<table>
<thead><tr><th>Name</th><th class="n">Size</th><th class="n">Modified</th></tr></thead>
<tbody>
`

// listingPage writes the page.
func listingPage(key, prefix string, lines []listed, more bool) []byte {
	b := fmt.Appendf(nil, listingHead, escapeName(key))
	if key != prefix {
		b = append(b, "<tr><td><a href=\"../\">..</a></td><td></td><td></td></tr>\n"...)
	}
	for _, l := range lines {
		slash, size := "", byteSize(l.size)
		if l.directory {
			slash, size = "/", ""
		}
		// The dot keeps a name with a colon from being taken for a scheme.
		b = fmt.Appendf(b, "<tr><td><a href=\"./%s%s\">%s%s</a></td><td class=\"n\">%s</td><td class=\"n\">%s</td></tr>\n",
			html.EscapeString(escapePath(l.name)), slash, escapeName(l.name), slash, size, l.modified.UTC().Format("2006-01-02 15:04"))
	}
	b = append(b, "</tbody>\n</table>\n"...)
	if more {
		b = fmt.Appendf(b, "<p class=\"note\">There are more than %d names. The others are not shown.</p>\n", listingMax)
	}
	return append(b, "</body>\n</html>\n"...)
}

// escapeName makes a name fit for HTML. Bytes that are not UTF-8 are shown as what they are.
func escapeName(name string) string {
	var b strings.Builder
	for len(name) > 0 {
		r, n := utf8.DecodeRuneInString(name)
		switch {
		case r == utf8.RuneError && n == 1:
			fmt.Fprintf(&b, "\\x%02x", name[0])
		case r < ' ' || r == 0x7f:
			fmt.Fprintf(&b, "\\x%02x", r)
		default:
			b.WriteString(html.EscapeString(name[:n]))
		}
		name = name[n:]
	}
	return b.String()
}

// byteSize writes a size in bytes with its unit.
func byteSize(n int64) string {
	if n < 1024 {
		return fmt.Sprintf("%d B", n)
	}
	size := float64(n)
	for _, unit := range []string{"KiB", "MiB", "GiB", "TiB", "PiB", "EiB"} {
		if size /= 1024; size < 1024 || unit == "EiB" {
			return fmt.Sprintf("%.1f %s", size, unit)
		}
	}
	return ""
}
