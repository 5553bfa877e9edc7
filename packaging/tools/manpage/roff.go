package main

import (
	"fmt"
	"regexp"
	"strings"
)

// page writes a manual page in the macros of man(7).
type page struct {
	b strings.Builder
	// section and subsection are the deepest levels of headings that become .SH and .SS. Deeper ones are bold lines.
	section, subsection int
}

// title writes the head of the page.
func (p *page) title(name, section, date, version string) {
	fmt.Fprintf(&p.b, ".TH %s %s %s %s \"Moonbridge\"\n.nh\n.ad l\n", strings.ToUpper(name), section, date, quote("mbserve "+version))
}

func (p *page) blocks(list []block) {
	for _, b := range list {
		switch b.kind {
		case heading:
			p.heading(b.level, b.text)
		case paragraph:
			p.b.WriteString(".PP\n" + line(b.text))
		case code:
			p.code(b.lines)
		case bullet:
			p.bullet(b)
		case table:
			p.table(b.rows)
		}
	}
}

func (p *page) heading(level int, text string) {
	text = plain(text)
	switch {
	case level <= p.section:
		fmt.Fprintf(&p.b, ".SH %s\n", quote(strings.ToUpper(text)))
	case level <= p.subsection:
		fmt.Fprintf(&p.b, ".SS %s\n", quote(text))
	default:
		p.b.WriteString(".PP\n\\fB" + escape(text) + "\\fR\n")
	}
}

func (p *page) code(lines []string) {
	p.b.WriteString(".PP\n.RS 4\n.nf\n")
	for _, l := range lines {
		p.b.WriteString(guard(escape(strings.ReplaceAll(l, "\t", "  "))) + "\n")
	}
	p.b.WriteString(".fi\n.RE\n")
}

func (p *page) bullet(b block) {
	mark := `\(bu`
	if b.mark != "" {
		mark = b.mark + "."
	}
	if b.level > 0 {
		p.b.WriteString(".RS 4\n")
	}
	fmt.Fprintf(&p.b, ".IP %s 4\n%s", mark, line(b.text))
	if b.level > 0 {
		p.b.WriteString(".RE\n")
	}
}

// table writes each row as an item of a list, because the cells are often longer than a terminal is wide. With three columns or
// more, the head says what each of the further cells is.
func (p *page) table(rows [][]string) {
	head := rows[0]
	for _, row := range rows[1:] {
		tag := row[0]
		if len(row) > 2 && head[0] != "" {
			tag = head[0] + ": " + tag
		}
		p.b.WriteString(".TP\n" + line("**"+strings.ReplaceAll(tag, "**", "")+"**"))
		for i, cell := range row[1:] {
			if cell == "" {
				continue
			}
			if i > 0 {
				p.b.WriteString(".br\n")
			}
			if len(row) > 2 && head[i+1] != "" {
				cell = head[i+1] + ": " + cell
			}
			p.b.WriteString(line(cell))
		}
	}
}

// line returns text as one input line with the fonts of its marks.
func line(text string) string { return guard(inline(text)) + "\n" }

var (
	link   = regexp.MustCompile(`\[((?:[^\[\]]|\[[^\]]*\])+)\]\(([^)\s]+)\)`)
	auto   = regexp.MustCompile(`<(https?://[^>]+)>`)
	span   = regexp.MustCompile("``([^`]|`[^`])+``|`[^`]+`")
	strong = regexp.MustCompile(`\*\*(.+?)\*\*`)
	emph   = regexp.MustCompile(`\*([^\s*](?:[^*]*[^\s*])?)\*`)
)

// inline turns code into bold text, and keeps what links say rather than where they lead.
func inline(text string) string {
	var spans []string
	text = span.ReplaceAllStringFunc(text, func(s string) string {
		spans = append(spans, strings.TrimSpace(strings.Trim(s, "`")))
		return fmt.Sprintf("\x01%d\x02", len(spans)-1)
	})
	text = link.ReplaceAllString(text, "$1")
	text = auto.ReplaceAllString(text, "$1")
	text = strong.ReplaceAllString(text, "\x03$1\x05")
	text = emph.ReplaceAllString(text, "\x04$1\x05")
	text = escape(text)
	for i, s := range spans {
		text = strings.ReplaceAll(text, fmt.Sprintf("\x01%d\x02", i), `\fB`+escape(s)+`\fR`)
	}
	return strings.NewReplacer("\x03", `\fB`, "\x04", `\fI`, "\x05", `\fR`).Replace(text)
}

// plain returns text without marks.
func plain(text string) string {
	text = link.ReplaceAllString(text, "$1")
	return strings.NewReplacer("`", "", "**", "").Replace(text)
}

// escape keeps characters from being read as requests, and makes those that programs are to copy the ones of ASCII.
var escaper = strings.NewReplacer(
	`\`, `\(rs`, "-", `\-`, "'", `\(aq`, "`", `\(ga`, "^", `\(ha`, "~", `\(ti`,
	"…", "...", "×", `\(mu`, "±", `\(+-`, "≈", `\(~~`, "→", `\(->`, "·", `\(pc`, "–", `\(en`, "µ", `\(mc`, "≤", `\(<=`, "≥", `\(>=`, "ä", `\(:a`, "ö", `\(:o`, "ü", `\(:u`,
	"é", `\('e`,
)

func escape(text string) string { return escaper.Replace(text) }

// guard keeps a line that begins with a dot from being a request.
func guard(text string) string {
	if strings.HasPrefix(text, ".") {
		return `\&` + text
	}
	return text
}

// quote returns the argument of a macro.
func quote(text string) string { return `"` + strings.ReplaceAll(escape(text), `"`, `\(dq`) + `"` }
