package main

import (
	"fmt"
	"strings"

	"github.com/spf13/pflag"
)

// The help fits a terminal of 80 columns.
const (
	usageWidth  = 79
	usageColumn = 28 // start of the explanations
)

func usage() string {
	var b strings.Builder
	b.WriteString(`Usage: mbserve [options] [--] script.lua [script arguments]
       mbserve [options] --static DIRECTORY
       mbserve new DIRECTORY
       mbserve replay [options] FILE
       mbserve test [options] script.lua [tests.lua]

Serves the web application that script.lua describes. The script calls listen{…}
with its listeners and handlers. It runs once; worker processes are forked
from it. An example:

    local http = require "moonbridge_http"
    listen{
      { proto = "tcp4", port = 8080, localhost = true },
      connect = http.generate_handler(function(request)
        request:send_status("200 OK")
        request:send_header("Content-Type", "text/plain")
        request:send_data("Hello, ", request.get_params.name or "world", "!\n")
        request:finish()
      end)
    }

Options:
`)
	b.WriteString(flagUsage(new(options).flags()))
	b.WriteString(`
Signals:
  TERM, INT   stop gracefully: no new connections, running requests finish
              within --grace; a second one stops at once
  QUIT        stop at once
  HUP         reload the script; if it does not load, the old one stays in use
  USR1        reopen the log files
  USR2        replace this process with a new mbserve binary

Exit codes: 0 normal exit, 1 bad command line, 2 pid or log file in use by a
running server, 3 error at start (script, tests, bind, no listener), 4 fatal
error, 5 a test has failed (mbserve test).

The script finds its arguments in "..." and in the table "arg".
The manual for scripts is docs/manual.md, the manual for operators
docs/operations.md.
`)
	return b.String()
}

// flagUsage explains options.
func flagUsage(flags *pflag.FlagSet) string {
	var b strings.Builder
	flags.VisitAll(func(f *pflag.Flag) { writeFlag(&b, f) })
	return b.String()
}

// writeFlag writes one option: "  -l, --logfile FILE    what it does".
func writeFlag(b *strings.Builder, f *pflag.Flag) {
	value, text := pflag.UnquoteUsage(f)
	name := "      --" + f.Name
	if f.Shorthand != "" {
		name = "  -" + f.Shorthand + ", --" + f.Name
	}
	switch {
	case f.Value.Type() == "bool":
	case f.NoOptDefVal != "":
		name += "[=" + value + "]"
	default:
		name += " " + value
		if d := f.DefValue; d != "" && d != "0" && d != "[]" {
			text += fmt.Sprintf(" (default %s)", d)
		}
	}
	column := len(name)
	b.WriteString(name)
	if column+2 > usageColumn {
		b.WriteString("\n")
		column = 0
	}
	b.WriteString(strings.Repeat(" ", usageColumn-column))
	column = usageColumn
	for i, word := range strings.Fields(text) {
		switch {
		case i == 0:
		case column+1+len(word) > usageWidth:
			b.WriteString("\n" + strings.Repeat(" ", usageColumn))
			column = usageColumn
		default:
			b.WriteString(" ")
			column++
		}
		b.WriteString(word)
		column += len(word)
	}
	b.WriteString("\n")
}
