package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"slices"
	"syscall"
	"time"

	"github.com/spf13/pflag"

	"moonbridge/cmd/mbserve/testrun"
	"moonbridge/engine"
	"moonbridge/handler/logging"
	"moonbridge/handler/pool"
)

// "mbserve test" runs a script with its workers as the server does, but opens none of its addresses, and starts neither timers nor
// main handlers. Its tests send requests as those of --selftest do (selftest.go).

// testsTimeout is how long all tests together may take, by default.
const testsTimeout = 5 * time.Minute

const testUsage = `Usage: mbserve test [options] script.lua [tests.lua] [-- script arguments]

Runs the tests in tests.lua, and the option selftest of each pool, without opening
a port. docs/testing.md describes how tests are written.

`

// testOptions are the command line of "mbserve test".
type testOptions struct {
	script, tests string
	args          []string
	tap, debug    bool
	junit         string
	timeout       time.Duration
}

func (o *testOptions) flags() *pflag.FlagSet {
	f := newFlagSet("mbserve test")
	f.BoolVar(&o.tap, "tap", false, "write TAP (Test Anything Protocol) to standard output")
	f.StringVar(&o.junit, "junit", "", "write the results to `FILE` too, as XML in the format of JUnit")
	o.timeout = testsTimeout
	f.Var((*seconds)(&o.timeout), "timeout", "`SECONDS` for all tests together")
	f.BoolVarP(&o.debug, "debug", "d", false, "log at debug level")
	f.BoolP("help", "h", false, "show this help and exit")
	return f
}

func parseTestOptions(args []string) (*testOptions, error) {
	o := new(testOptions)
	f := o.flags()
	if err := parseFlags(f, args); err != nil {
		return nil, err
	}
	rest, script := f.Args(), []string(nil)
	if n := f.ArgsLenAtDash(); n >= 0 {
		rest, script = rest[:n], rest[n:]
	}
	switch {
	case len(rest) == 0:
		return nil, errors.New("test: no script given")
	case len(rest) > 2:
		return nil, fmt.Errorf("test: one script and one file with tests: %q is too much (arguments of the script follow --)", rest[2])
	case slices.Contains(rest, ""):
		return nil, errors.New("test: the name of a file is empty")
	case o.timeout <= 0:
		return nil, errors.New("test: --timeout must be more than 0")
	}
	o.script, o.args = rest[0], script
	if len(rest) == 2 {
		o.tests = rest[1]
	}
	return o, nil
}

// runTest runs "mbserve test", and returns the exit code.
func runTest(args []string, stdout, stderr io.Writer) int {
	o, err := parseTestOptions(args)
	if errors.Is(err, pflag.ErrHelp) {
		fmt.Fprint(stdout, testUsage, "Options:\n", flagUsage(new(testOptions).flags()))
		return exitOK
	}
	if err != nil {
		fmt.Fprintf(stderr, "mbserve: %v\nTry 'mbserve test --help'.\n", err)
		return exitUsage
	}
	ctx, cancel := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT, syscall.SIGQUIT, syscall.SIGHUP)
	defer cancel()
	code, err := o.run(ctx, stdout, stderr)
	if err != nil {
		return complain(stderr, err)
	}
	return code
}

// run runs the tests. An error says why they could not be begun. It is written to the reports that programs read, too: without it they
// would take an empty report, or that of an earlier run, for this one's.
func (o *testOptions) run(ctx context.Context, stdout, stderr io.Writer) (code int, err error) {
	var reporters []testrun.Reporter
	if o.junit != "" {
		f, err := os.Create(o.junit)
		if err != nil {
			return 0, fmt.Errorf("--junit: %w", err)
		}
		defer f.Close()
		reporters = append(reporters, testrun.NewJUnit(f, o.suite()))
	}
	if o.tap {
		reporters = append(reporters, testrun.NewTAP(stdout))
	}
	forPrograms := len(reporters)
	if !o.tap {
		reporters = append(reporters, testrun.NewText(stdout))
	}
	for _, to := range reporters {
		to.Begin()
	}
	log := newTestLog(newLogger(stderr, logPlain, o.debug).Handler())
	s, err := o.server(log, stderr)
	if err == nil {
		defer s.endTests()
		err = s.loadForTests(ctx)
	}
	began := time.Now()
	run := new(testrun.Run)
	if err == nil {
		ctx, cancel := context.WithTimeout(ctx, o.timeout)
		defer cancel()
		run, err = s.runAllTests(ctx, o, log, reporters)
	}
	broken := run.Broken()
	if err != nil { // a reader gets it from standard error
		reporters, broken = reporters[:forPrograms], err
	}
	for _, to := range reporters {
		err = errors.Join(err, to.End(run.Counts, broken, time.Since(began)))
	}
	switch {
	case err != nil:
		return 0, err
	case run.Broken() != nil:
		return exitStart, nil
	case run.Counts.Failed > 0:
		return exitTests, nil
	}
	return exitOK, nil
}

// suite is the name of the tests.
func (o *testOptions) suite() string { return cmp.Or(o.tests, o.script) }

// server makes a server that listens nowhere, if the files can be read.
func (o *testOptions) server(log *testLog, stderr io.Writer) (s *server, err error) {
	for _, file := range []string{o.script, o.tests} {
		if file == "" {
			continue
		}
		if err := readable(file); err != nil {
			return nil, err
		}
	}
	all, err := parseOptions(append([]string{"--loops", "1", "--", o.script}, o.args...))
	if err != nil {
		return nil, err
	}
	s = newServer(all)
	s.onlyTests, s.dir, s.log = true, findWorkDir(), log.logger()
	s.tickets = newTickets(nil)
	s.stdout = logging.NewQueue(stderr, logging.Options{Lost: func(lost int, err error) { warnLost(s.log, "standard output", lost, err) }})
	s.engine, err = engine.New(engine.Options{Loops: 1, Logger: s.log, Spool: engine.Spool{Dir: all.spoolDir, Bytes: int64(all.spoolLimit)}})
	return s, err
}

// loadForTests loads the script, and waits for its workers.
func (s *server) loadForTests(ctx context.Context) (err error) {
	if s.serving, err = s.load(ctx); err != nil {
		return err
	}
	s.shared.Settle()
	soon, cancel := context.WithTimeout(ctx, workersTimeout)
	defer cancel()
	if err = s.serving.host.AwaitWorkers(soon); err == nil {
		err = s.serving.prepare()
	}
	return err
}

// lastRequestTime is how long the handler of a request may still be at work when the tests are over and its response is there.
const lastRequestTime = time.Second

// endTests ends everything. What handlers still do is for nobody, so they are killed soon; workers without a request run finish.
func (s *server) endTests() {
	ctx, cancel := context.WithTimeout(context.Background(), lastRequestTime)
	defer cancel()
	if s.serving != nil {
		if err := s.serving.end(ctx); err != nil {
			s.log.Debug("tests: end", "err", err)
		}
	}
	s.engine.Shutdown(ctx)
	s.stdout.Close(logCloseTimeout)
}

// runAllTests runs the option selftest of each pool, and then the file.
func (s *server) runAllTests(ctx context.Context, o *testOptions, log *testLog, reporters []testrun.Reporter) (*testrun.Run, error) {
	g := s.serving
	run := &testrun.Run{IDs: "mbserve-test-", Logged: log.about, Report: func(r *testrun.Result) {
		for _, to := range reporters {
			to.Result(r)
		}
	}}
	host, ok := g.host.(*pool.Host)
	if !ok {
		return run, errors.New("there is no script")
	}
	p := newPrivate(g)
	defer p.close()
	for n, spec := range g.pools {
		if spec.Options.Selftest {
			run.Dial, run.Title = p.dialer(n+1), fmt.Sprintf("selftest of pool %d", n)
			run.Finish(host.Test(ctx, pool.Test{Pool: n, Answer: run.Answer}))
		}
	}
	if o.tests != "" {
		run.Dial, run.Title = p.dialer(0), ""
		run.Finish(host.Test(ctx, pool.Test{File: o.tests, Answer: run.Answer}))
	} else if run.Counts.Total() == 0 && run.Broken() == nil {
		return run, fmt.Errorf("%s has no option selftest, and no file with tests is given", o.script)
	}
	return run, nil
}
