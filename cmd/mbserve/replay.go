package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"time"

	"github.com/spf13/pflag"

	"moonbridge/cmd/mbserve/crash"
)

// replayTimeout is how long a replayed request may take if neither the script nor --timeout says it.
const replayTimeout = 10 * time.Second

const replayUsage = `Usage: mbserve replay [options] FILE [script arguments]

Sends the request that FILE has recorded (--crash-dir) once more, to a worker of
its own: the script is started without its listeners and timers. Shows the
response, and how the request has failed.

`

const replayCodes = `
Exit codes: 0 the request has not failed, 1 bad command line, 3 error at start,
5 it has failed again.
`

// replayOptions is the command line of a replay.
type replayOptions struct {
	file    string
	to      string // another script; "": the recorded one
	args    []string
	timeout time.Duration // 0: that of the script, or replayTimeout
	gdb     bool
	debug   bool
}

func (o *replayOptions) flags() *pflag.FlagSet {
	f := newFlagSet("mbserve replay")
	f.SetInterspersed(false)
	f.StringVar(&o.to, "to", "", "run this `SCRIPT` instead of the recorded one")
	f.Var((*seconds)(&o.timeout), "timeout", "`SECONDS` that the request may take (default: request_timeout of the script, or 10)")
	f.BoolVar(&o.gdb, "gdb", false, "attach gdb to the worker first")
	f.BoolVarP(&o.debug, "debug", "d", false, "show the log")
	f.BoolP("help", "h", false, "show this help and exit")
	return f
}

func parseReplay(args []string) (*replayOptions, error) {
	o := new(replayOptions)
	f := o.flags()
	if err := parseFlags(f, args); err != nil {
		return nil, err
	}
	if f.NArg() == 0 {
		return nil, errors.New("no file given")
	}
	o.file, o.args = f.Arg(0), f.Args()[1:]
	return o, nil
}

// runReplay is the command "replay".
func runReplay(args []string, stdout, stderr io.Writer) int {
	o, err := parseReplay(args)
	switch {
	case errors.Is(err, pflag.ErrHelp):
		fmt.Fprint(stdout, replayUsage, "Options:\n", flagUsage(new(replayOptions).flags()), replayCodes)
		return exitOK
	case err != nil:
		fmt.Fprintf(stderr, "mbserve: replay: %v\nTry 'mbserve replay --help'.\n", err)
		return exitUsage
	}
	r := &replay{o: o, stdout: stdout, log: newReplayLog(o.debug, stderr)}
	failed, err := r.run()
	switch {
	case err != nil:
		r.log.show(stderr)
		fmt.Fprintf(stderr, "mbserve: replay: %s\n", errorText(err))
		return exitStart
	case failed:
		return exitFailedAgain
	}
	return exitOK
}

// prepare reads the record, and enters the directory in which its script has run.
func (r *replay) prepare() (err error) {
	if r.o.gdb {
		if r.gdb, err = exec.LookPath("gdb"); err != nil {
			return errors.New("--gdb: gdb is not installed")
		}
	}
	if r.record, err = crash.Read(r.o.file); err != nil {
		return err
	}
	if r.record.Kind != "http" || r.record.Request == nil {
		return fmt.Errorf("%s: only HTTP requests can be replayed, and this is about: %s %s", r.o.file, r.record.Kind, r.record.Name)
	}
	if r.request, err = r.record.Request.Bytes(); err != nil {
		return fmt.Errorf("%s: %w", r.o.file, err)
	}
	r.script, r.args = r.o.to, r.o.args
	if r.script == "" {
		r.script = r.record.Server.Script
		if err := os.Chdir(r.record.Server.Directory); err != nil {
			return fmt.Errorf("the directory of the script: %w; --to SCRIPT runs another one", err)
		}
	}
	if len(r.args) == 0 {
		r.args = r.record.Server.Args
	}
	return readable(r.script)
}
