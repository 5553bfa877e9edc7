package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"

	"github.com/spf13/pflag"

	"moonbridge/handler/logging"
	"moonbridge/handler/worker"
)

// version is set by scripts/build.
var version = "development"

// Exit codes.
const (
	exitOK          = 0
	exitUsage       = 1 // bad command line
	exitLocked      = 2 // pid or log file in use by a running server
	exitStart       = 3 // error at start: script, bind, no listener
	exitRunning     = 4 // fatal error while running
	exitTests       = 5 // mbserve test: a test has failed
	exitFailedAgain = 5 // mbserve replay: the request has failed again
)

func main() { os.Exit(run(os.Args[1:], os.Stdout, os.Stderr)) }

// runners run the commands that the first word may be in place of a script.
var runners = map[string]func(args []string, stdout, stderr io.Writer) int{"new": runNew, "replay": runReplay, "test": runTest}

// isScript reports whether there is a file with the name of a command: a script of that name is still served.
func isScript(name string) bool {
	info, err := os.Stat(name)
	return err == nil && !info.IsDir()
}

func run(args []string, stdout, stderr io.Writer) int {
	if isRootFiles() {
		return runRootFiles(args)
	}
	if len(args) > 0 && runners[args[0]] != nil && !isScript(args[0]) {
		return runners[args[0]](args[1:], stdout, stderr)
	}
	o, err := parseOptions(args)
	switch {
	case errors.Is(err, pflag.ErrHelp):
		fmt.Fprint(stdout, usage())
		return exitOK
	case err != nil:
		fmt.Fprintf(stderr, "mbserve: %v\nTry 'mbserve --help'.\n", err)
		return exitUsage
	case o.version:
		fmt.Fprintf(stdout, "mbserve %s (%s, %s, %s/%s)\n", version, worker.Version(), runtime.Version(), runtime.GOOS, runtime.GOARCH)
		return exitOK
	case o.completion != "":
		completion(o.completion, stdout)
		return exitOK
	case o.check:
		return check(o, stdout, stderr)
	}
	d, err := inBackground()
	if err != nil {
		return complain(stderr, err)
	}
	if o.background && d == nil && os.Getenv(heirEnv) == "" {
		return goBackground(args, stderr)
	}
	return serve(o, d, stderr)
}

// complain prints an error at start and returns its exit code. It does not wait forever for a terminal that is stopped.
func complain(stderr io.Writer, err error) int {
	queue := logging.NewQueue(stderr, logging.Options{})
	fmt.Fprintf(queue, "mbserve: %s\n", errorText(err))
	queue.Close(logCloseTimeout)
	if errors.Is(err, errLocked) {
		return exitLocked
	}
	return exitStart
}

// readable returns an error if the script cannot be opened, in this program's words rather than Lua's.
func readable(script string) error {
	f, err := os.Open(script)
	if err != nil {
		return fmt.Errorf("cannot open %s: %w", script, errors.Unwrap(err))
	}
	defer f.Close()
	if info, err := f.Stat(); err == nil && info.IsDir() {
		return fmt.Errorf("cannot open %s: is a directory", script)
	}
	return nil
}
