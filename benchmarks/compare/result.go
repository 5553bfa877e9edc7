package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"moonbridge/benchmarks/internal/machine"
	"moonbridge/benchmarks/internal/servers"
	"moonbridge/benchmarks/internal/wrk"
)

// collectFacts returns the head of the result file.
func collectFacts(o options, results []workloadResult) []machine.Fact {
	facts := []machine.Fact{
		{Name: "date", Value: time.Now().Format("2006-01-02 15:04:05 -0700")},
		{Name: "command", Value: quoteCommand("benchmarks/run.sh", relativeArgs(o.settings, givenArgs(os.Args[1:])))},
	}
	if o.note != "" {
		facts = append(facts, machine.Fact{Name: "note", Value: o.note})
	}
	facts = append(facts, machine.Facts(o.settings.Benchmarks)...)
	if !o.lean {
		facts = append(facts, machine.Fact{Name: "wrk", Value: wrk.Version()})
	}
	for i, name := range results[0].names {
		switch {
		case name == "mbserve":
			facts = append(facts, machine.Fact{Name: "mbserve", Value: machine.Version(o.settings.Mbserve, "--version")})
		case results[0].versions[i] != "":
			facts = append(facts, machine.Fact{Name: name + " + Lua", Value: results[0].versions[i]})
		case modules[name] != "":
			facts = append(facts, machine.Fact{Name: name, Value: moduleVersion(o.settings.Benchmarks, modules[name])})
		case name == "caddy":
			facts = append(facts, machine.Fact{Name: name, Value: machine.Version(name, "version")})
		case name == "limit":
			facts = append(facts, machine.Fact{Name: name, Value: machine.Version("cc", "--version")})
		}
	}
	load := fmt.Sprintf("wrk with %d threads", o.threads)
	if o.lean {
		load = "lean (peers/lean) in the place of wrk, with one thread"
	}
	plan := fmt.Sprintf("%d rounds of %v after %v of warm-up, %s, open files %d", o.rounds, o.duration, o.warmup, load, o.settings.Files)
	return append(facts, machine.Fact{Name: "plan", Value: plan}, machine.Fact{Name: "setting", Value: describeSetting(o)})
}

// modules are the libraries that peers are measured for.
var modules = map[string]string{"fasthttp": "github.com/valyala/fasthttp", "gnet": "github.com/panjf2000/gnet/v2"}

func describeSetting(o options) string {
	text := map[servers.Setting]string{
		servers.Apart:    "apart: each server in a session of its own",
		servers.Together: "together: servers and wrk in one session",
		servers.Cgroup:   "cgroup: each server in a session and a cpu cgroup of its own",
		servers.Core:     "core: each server in a session of its own on the first core, load and upstream on the others",
	}[o.settings.Setting]
	if o.hogs > 0 {
		text += fmt.Sprintf("; beside %d busy loops, pinned to one core after the other", o.hogs)
	}
	return text
}

// relativeArgs makes paths relative to the repository, like those of the commands of servers.
func relativeArgs(s servers.Settings, args []string) []string {
	out := make([]string, len(args))
	for i, arg := range args {
		out[i] = s.Relative(arg)
	}
	return out
}

// moduleVersion reads a version from go.mod.
func moduleVersion(dir, module string) string {
	text, _ := os.ReadFile(filepath.Join(dir, "go.mod"))
	for line := range strings.Lines(string(text)) {
		if _, version, found := strings.Cut(line, module+" "); found {
			return strings.Fields(version)[0]
		}
	}
	return "unknown"
}

// givenArgs returns the user's arguments, without the folder that run.sh puts before them.
func givenArgs(args []string) []string {
	if len(args) >= 2 && args[0] == "-dir" {
		return args[2:]
	}
	return args
}

// quoteCommand quotes a command so that a shell reads the same arguments.
func quoteCommand(program string, args []string) string {
	out := program
	for _, arg := range args {
		if arg == "" || strings.ContainsAny(arg, " \t\n'\"\\$`!*?[](){}<>|&;~#") {
			arg = "'" + strings.ReplaceAll(arg, "'", `'\''`) + "'"
		}
		out += " " + arg
	}
	return out
}

// writeResult writes a new file "<date>-<name>.txt", with a number after the name if that file exists, and returns its
// path.
func writeResult(dir, name, text string) (string, error) {
	base := time.Now().Format("2006-01-02") + "-" + name
	for n := 1; ; n++ {
		path := filepath.Join(dir, base+".txt")
		if n > 1 {
			path = filepath.Join(dir, fmt.Sprintf("%s-%d.txt", base, n))
		}
		file, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
		if errors.Is(err, fs.ErrExist) {
			continue
		}
		if err != nil {
			return "", err
		}
		_, err = file.WriteString(text)
		return path, errors.Join(err, file.Close())
	}
}
