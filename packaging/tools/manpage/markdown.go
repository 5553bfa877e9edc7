package main

import (
	"regexp"
	"strings"
)

// blockKind says what a block of a document is.
type blockKind int

const (
	heading blockKind = iota
	paragraph
	code
	bullet
	table
)

// block is a part of a document: the subset of Markdown that the documents of this project use.
type block struct {
	kind  blockKind
	level int        // of a heading: number of signs; of a bullet: its depth
	text  string     // of a heading, a paragraph or a bullet, on one line
	mark  string     // of a bullet: "" or its number
	lines []string   // of code
	rows  [][]string // of a table, its head first
}

var (
	headingLine = regexp.MustCompile(`^(#{1,6}) (.+)$`)
	bulletLine  = regexp.MustCompile(`^( *)(?:[-*]|(\d+)\.) (.+)$`)
	ruleLine    = regexp.MustCompile(`^\|[-:| ]+\|$`)
)

// parse splits a document into blocks.
func parse(document string) (blocks []block) {
	lines := strings.Split(document, "\n")
	for i := 0; i < len(lines); {
		b, n := next(lines[i:])
		if n == 0 {
			i++
			continue
		}
		blocks = append(blocks, b)
		i += n
	}
	return blocks
}

// next returns the block that begins with the first line and the number of its lines, 0 if the line is empty.
func next(lines []string) (b block, n int) {
	first := lines[0]
	switch {
	case strings.TrimSpace(first) == "":
		return b, 0
	case strings.HasPrefix(first, "```"):
		return fenced(lines)
	case strings.HasPrefix(first, "|"):
		return tabular(lines)
	}
	if m := headingLine.FindStringSubmatch(first); m != nil {
		return block{kind: heading, level: len(m[1]), text: m[2]}, 1
	}
	b = block{kind: paragraph, text: first}
	if m := bulletLine.FindStringSubmatch(first); m != nil {
		b = block{kind: bullet, level: len(m[1]) / 2, mark: m[2], text: m[3]}
	}
	for n = 1; n < len(lines) && b.continues(lines[n]); n++ {
		b.text += " " + strings.TrimSpace(lines[n])
	}
	return b, n
}

// continues reports whether a line belongs to the paragraph or bullet before it.
func (b *block) continues(line string) bool {
	return strings.TrimSpace(line) != "" && !strings.HasPrefix(line, "```") && !strings.HasPrefix(line, "|") &&
		!headingLine.MatchString(line) && !b.endsAt(line)
}

// endsAt reports whether a line is a bullet. A number other than 1 does not begin a list within a text: the line has the number of a sentence
// that happens to stand there.
func (b *block) endsAt(line string) bool {
	m := bulletLine.FindStringSubmatch(line)
	within := b.kind == paragraph || m != nil && len(m[1])/2 > b.level
	return m != nil && !(within && m[2] != "" && m[2] != "1")
}

func fenced(lines []string) (block, int) {
	b := block{kind: code}
	for i, line := range lines[1:] {
		if strings.HasPrefix(line, "```") {
			return b, i + 2
		}
		b.lines = append(b.lines, line)
	}
	return b, len(lines)
}

func tabular(lines []string) (block, int) {
	b := block{kind: table}
	for i, line := range lines {
		switch {
		case !strings.HasPrefix(line, "|"):
			return b, i
		case !ruleLine.MatchString(line):
			b.rows = append(b.rows, cells(line))
		}
	}
	return b, len(lines)
}

// cells splits a row. A vertical bar in a cell is written with a backslash.
func cells(line string) []string {
	line = strings.ReplaceAll(line, `\|`, "\x00")
	list := strings.Split(strings.Trim(strings.TrimSpace(line), "|"), "|")
	for i := range list {
		list[i] = strings.ReplaceAll(strings.TrimSpace(list[i]), "\x00", "|")
	}
	return list
}

// chapters returns the blocks under the headings of level 2 that are named, with these headings, in the order of the document.
func chapters(blocks []block, names ...string) (chosen []block) {
	in := false
	for _, b := range blocks {
		if b.kind == heading && b.level <= 2 {
			in = false
			for _, name := range names {
				in = in || b.text == name
			}
		}
		if in {
			chosen = append(chosen, b)
		}
	}
	return chosen
}
