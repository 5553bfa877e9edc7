// Command manpage makes the manual pages of mbserve from the documents:
//
//	manpage -version VERSION -date YYYY-MM-DD -docs docs -out DIRECTORY
//
// mbserve(1) is made from docs/operations.md, mbserve-script(5) from docs/manual.md.
package main

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
)

func main() {
	version := flag.String("version", "", "version of mbserve")
	date := flag.String("date", "", "date of the pages")
	docs := flag.String("docs", "docs", "directory of the documents")
	out := flag.String("out", ".", "directory of the pages")
	flag.Parse()
	if err := write(*docs, *out, *version, *date); err != nil {
		fmt.Fprintln(os.Stderr, "manpage:", err)
		os.Exit(1)
	}
}

func write(docs, out, version, date string) error {
	operations, err := os.ReadFile(filepath.Join(docs, "operations.md"))
	if err != nil {
		return err
	}
	manual, err := os.ReadFile(filepath.Join(docs, "manual.md"))
	if err != nil {
		return err
	}
	command, err := commandPage(string(operations), version, date)
	if err != nil {
		return err
	}
	script, err := scriptPage(string(manual), version, date)
	if err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(out, "mbserve.1"), []byte(command), 0o644); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(out, "mbserve-script.5"), []byte(script), 0o644)
}

// chapters of docs/operations.md that are in mbserve(1). Sizing, proxies and the like are for those who read the document.
var commandChapters = []string{"Command line", "Signals", "Exit codes", "Processes", "Log", "The admin listener", "Records of failed requests", "TLS", "Under systemd"}

func commandPage(operations, version, date string) (string, error) {
	p := page{section: 2, subsection: 3}
	p.title("mbserve", "1", date, version)
	p.b.WriteString(`.SH NAME
mbserve \- web server for Lua applications
.SH SYNOPSIS
.B mbserve
.RI [ options ]
.RB [ \-\- ]
.I script.lua
.RI [ "script arguments" ]
.br
.B mbserve
.RI [ options ]
.B \-\-static
.I directory
.br
.B mbserve new
.I directory
.br
.B mbserve test
.RI [ options ]
.I script.lua
.RI [ tests.lua ]
.br
.B mbserve replay
.RI [ options ]
.I file
.SH DESCRIPTION
.B mbserve
serves the web application that a Lua script describes.
The script calls \fBlisten\fR with its listeners and handlers.
It runs once; worker processes are forked from it.
Event loops in the server hold the connections, and a worker handles one request at a time.
What a script can use is described in
.BR mbserve\-script (5).
.PP
References to other chapters are to
.IR docs/operations.md ,
from which this page is made.
`)
	list := chapters(parse(operations), commandChapters...)
	if err := complete(list, commandChapters); err != nil {
		return "", err
	}
	p.blocks(list)
	p.b.WriteString(".SH SEE ALSO\n.BR mbserve\\-script (5),\n.BR systemd.service (5),\n.BR logrotate (8)\n")
	return p.b.String(), nil
}

var scriptChapters = []string{"A first script", "How to think of it", "How to read the examples", "Reference", "Idioms", "What differs from the original"}

func scriptPage(manual, version, date string) (string, error) {
	p := page{section: 3, subsection: 4}
	p.title("mbserve-script", "5", date, version)
	p.b.WriteString(`.SH NAME
mbserve\-script \- what a Lua script of mbserve can use
.SH DESCRIPTION
The script of
.BR mbserve (1)
describes a web application: its listeners, its pools of workers and its handlers.
References to other documents are to those in the directory
.IR docs .
`)
	list := chapters(parse(manual), scriptChapters...)
	if err := complete(list, scriptChapters); err != nil {
		return "", err
	}
	p.blocks(list)
	p.b.WriteString(".SH SEE ALSO\n.BR mbserve (1)\n")
	return p.b.String(), nil
}

// complete returns an error if a chapter has been renamed, which would be missing in the page.
func complete(list []block, names []string) error {
	found := make(map[string]bool)
	for _, b := range list {
		if b.kind == heading && b.level == 2 {
			found[b.text] = true
		}
	}
	for _, name := range names {
		if !found[name] {
			return fmt.Errorf("the document has no chapter %q", name)
		}
	}
	return nil
}
