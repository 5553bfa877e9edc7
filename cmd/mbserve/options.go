package main

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"slices"
	"time"

	"github.com/spf13/pflag"

	"moonbridge/cmd/mbserve/admin"
	"moonbridge/cmd/mbserve/bus"
)

// options is the parsed command line.
type options struct {
	script string
	args   []string // for the script
	static string   // a directory that is served instead of a script
	listen string   // where it is served; "": staticAddress

	version, check, debug, stats, background bool

	selftest        string // file with tests that a script has to pass before it serves; "": none
	selftestTimeout time.Duration

	watch watchOption // for developers
	dev   bool        // the same

	logFile, pidFile string
	logFacility      string // "": no system log
	logIdent         string
	logFormat        logFormat
	plain            bool   // the format is logPlain if the log is a terminal
	accessLog        string // file, or "-"; "": none
	accessFormat     accessFormat

	trace      bool
	traceFrom  traceFrom
	otlp       string // URL of the collector, or otlpEnv; "": none
	traceRatio float64

	admin        string // address of the admin listener; "": none
	adminAddress admin.Address
	adminRemote  bool
	adminPprof   bool
	adminToken   string // file

	bus, busFile string       // address of the bus, or the file that has it; "": none
	busAddress   *bus.Address // nil: none

	user, group string // as given
	privileges  *privileges
	grace       time.Duration
	drainDelay  time.Duration
	loops       int
	fillLoops   int
	scheduling  scheduling
	noPairing   bool
	selfSigned  bool

	crashDir    string // "": nothing is recorded
	crashFiles  int
	crashBytes  byteCount
	crashMask   []string
	crashUnmask bool

	completion string // the shell whose script is shown

	spoolDir   string
	spoolLimit byteCount // 0: nothing is spooled
}

func (o *options) flags() *pflag.FlagSet {
	f := newFlagSet("mbserve")
	f.SetInterspersed(false) // arguments after the script belong to it
	f.BoolVarP(&o.check, "check", "t", false, "load the script, show its listeners and pools, and exit (0 or 3) without binding")
	f.StringVar(&o.static, "static", "", "serve the files of `DIRECTORY`, without a script")
	f.StringVar(&o.listen, "listen", "", "with --static: `ADDRESS` to listen on: host:port, :port, or a port of 127.0.0.1 (default "+staticAddress+")")
	f.BoolVarP(&o.background, "background", "b", false,
		"run in the background once the server is ready; logs to the system log unless -l is given")
	f.BoolVarP(&o.debug, "debug", "d", false, "log at debug level")
	f.StringVarP(&o.logFile, "logfile", "l", "", "write the log to `FILE` (reopened on USR1) instead of standard error")
	f.StringVarP(&o.logFacility, "logfacility", "f", "", "write the log to the system log, with this `FACILITY` (daemon, local0 and so on)")
	f.StringVarP(&o.logIdent, "logident", "i", "mbserve", "`NAME` of the server in the system log")
	f.Var(choose(&o.logFormat, "FORMAT", logText, logJSON, logPlain), "log-format", "`FORMAT` of log lines: text, json, or plain, which is for reading (with --dev on a terminal: plain)")
	f.StringVar(&o.accessLog, "access-log", "", "write a line for each response to `FILE` (reopened on USR1), or to standard output if it is -")
	f.Var(choose(&o.accessFormat, "FORMAT", accessCombined, accessJSON), "access-format", "`FORMAT` of these lines: combined or json")
	f.BoolVar(&o.trace, "trace", false, "give requests ids of traces (W3C Trace Context), for logs, scripts and routes")
	f.Var(choose(&o.traceFrom, "WHOSE", "any", "trusted", "none"), "trace-from", "whose traceparent fields continue a trace: any, trusted (the proxies of trusted_proxies) or none")
	f.StringVar(&o.otlp, "otlp", "", "send traces by OTLP over HTTP to the collector at `URL`, such as http://127.0.0.1:4318; env: as the environment says (OTEL_EXPORTER_OTLP_ENDPOINT)")
	f.Float64Var(&o.traceRatio, "trace-ratio", 1, "`SHARE` of the traces that begin here which is sent, from 0 to 1")
	f.StringVar(&o.admin, "admin", "", "answer /healthz, /readyz, /metrics and /status at `ADDRESS`: 127.0.0.1:9090 or unix:/path")
	f.BoolVar(&o.adminRemote, "admin-remote", false, "allow an address that other hosts can reach; there is neither TLS nor a password")
	f.StringVar(&o.adminToken, "admin-token-file", "", "allow POST to /reload and /stop there, with the token in `FILE`")
	f.BoolVar(&o.adminPprof, "admin-pprof", false, "show profiles of the server at /debug/pprof there")
	f.StringVar(&o.crashDir, "crash-dir", "", "keep a file in `DIRECTORY` for each request that fails with an error of Lua, with a worker that crashes or is killed, or with a time limit")
	o.crashFiles = crashFilesDefault
	f.IntVar(&o.crashFiles, "crash-files", o.crashFiles, "`NUMBER` of these files; the oldest are removed")
	o.crashBytes = crashBytesDefault
	f.Var(&o.crashBytes, "crash-bytes", "`BYTES` of these files together")
	f.StringArrayVar(&o.crashMask, "crash-mask", nil, "mask fields with this `WORD` in their names there, too (several times: several words)")
	f.BoolVar(&o.crashUnmask, "crash-unmasked", false, "mask nothing there, not even passwords and cookies")
	f.StringVar(&o.bus, "bus", "",
		"pass messages of channels on to other servers through Redis or NATS at `URL`: redis://host:6379 or nats://host:4222, with TLS rediss:// or tls:// (default: $MBSERVE_BUS)")
	f.StringVar(&o.busFile, "bus-file", "", "the same, with the URL in `FILE`, so that no password is on the command line")
	f.StringVarP(&o.user, "user", "u", "", "run the script as `USER`, and drop root privileges once the listeners are open")
	f.StringVar(&o.group, "group", "", "run the script with this `GROUP` (default: the groups of the user)")
	f.StringVarP(&o.pidFile, "pidfile", "p", "", "write the process id to `FILE`, which is locked while the server runs")
	f.BoolVarP(&o.stats, "stats", "s", false, "log statistics of each pool once a minute and at exit")
	f.StringVar(&o.selftest, "selftest", "", "run the tests in `FILE` (see mbserve test) before a script serves: if one fails, a reload keeps the old script")
	o.selftestTimeout = selftestDefault
	f.Var((*seconds)(&o.selftestTimeout), "selftest-timeout", "`SECONDS` for these tests, and for the option selftest of the script")
	f.Var(&o.watch, "watch", "for development: reload the script when it or a module that it has loaded changes; "+
		"with `PATH`, also when a file of that directory, or one that matches this pattern, changes (several times: several paths)")
	f.Lookup("watch").NoOptDefVal = watchScript
	f.BoolVar(&o.dev, "dev", false, "for development: --watch, a line for each request, and Lua errors in HTTP handlers are shown in the browser, "+
		"with traceback and source; never use it on a public server")
	f.BoolVar(&o.selfSigned, "tls-self-signed", false,
		"for development: TCP listeners without certificates speak TLS, with one that a local authority signs")
	o.grace = 30 * time.Second
	f.Var((*seconds)(&o.grace), "grace", "`SECONDS` that running requests have to finish at a graceful stop")
	f.Var((*seconds)(&o.drainDelay), "drain-delay", "`SECONDS` that the server serves on after TERM or INT, while /readyz says that it is not ready")
	f.StringVar(&o.spoolDir, "spool-dir", os.TempDir(), "keep request bodies and responses that wait for slow clients in files in `DIRECTORY`")
	o.spoolLimit = 4 << 30
	f.Var(&o.spoolLimit, "spool-limit", "`BYTES` of these files together, such as 512M; 0: no files, slow clients occupy workers")
	f.IntVar(&o.loops, "loops", 0, "`NUMBER` of event loops; 0: as many as GOMAXPROCS or the CPU limit of the cgroup allows, at most 128")
	f.IntVar(&o.fillLoops, "fill-loops", 8, "`NUMBER` of connections that an event loop gets before the next one gets any; 0: they are always spread")
	f.Var(choose(&o.scheduling, "CLASS", schedulingBatch, schedulingNormal), "scheduling", "`CLASS` of the event loops for the scheduler of Linux: batch or normal")
	f.BoolVar(&o.noPairing, "no-pairing", false, "do not keep a busy worker on the processor of its event loop")
	f.StringVar(&o.completion, "completion", "", "show the script that has `SHELL` complete these options (bash, zsh or fish), and exit")
	f.BoolVarP(&o.version, "version", "v", false, "show the version and exit")
	f.BoolP("help", "h", false, "show this help and exit")
	return f
}

func newFlagSet(command string) *pflag.FlagSet {
	f := pflag.NewFlagSet(command, pflag.ContinueOnError)
	f.SortFlags = false
	f.Usage = func() {}
	return f
}

// parseFlags returns pflag.ErrHelp if the arguments ask for help.
func parseFlags(f *pflag.FlagSet, args []string) error {
	if err := f.Parse(args); err != nil {
		return explainFlag(err, f)
	}
	if help, _ := f.GetBool("help"); help {
		return pflag.ErrHelp
	}
	if name := emptyFlag(f); name != "" {
		return fmt.Errorf("--%s: the value is empty", name)
	}
	return nil
}

// emptyFlag returns the name of an option whose value was given and is empty, as that of a variable that is not set. It would count as no
// value otherwise, and a server without --user, for example, goes on as root.
func emptyFlag(f *pflag.FlagSet) (name string) {
	f.Visit(func(one *pflag.Flag) {
		list, isList := one.Value.(pflag.SliceValue)
		if one.Value.Type() == "string" && one.Value.String() == "" || isList && slices.Contains(list.GetSlice(), "") {
			name = one.Name
		}
	})
	return name
}

func parseOptions(args []string) (*options, error) {
	o := new(options)
	f := o.flags()
	if err := parseFlags(f, args); err != nil {
		return nil, err
	}
	switch {
	case o.version:
		return o, nil
	case o.completion != "" && shells[o.completion] == nil:
		return nil, fmt.Errorf("--completion %s: unknown; bash, zsh or fish", o.completion)
	case o.completion != "":
		return o, nil
	case o.loops < 0 || o.loops > maxLoops:
		return nil, fmt.Errorf("--loops must be between 0 and %d", maxLoops)
	case o.fillLoops < 0:
		return nil, errors.New("--fill-loops must be 0 or more")
	case o.static != "" && f.NArg() > 0:
		return nil, errors.New("--static: there is no script, and there are no arguments for it")
	case o.static != "" && o.selftest != "":
		return nil, errors.New("--static cannot be used together with --selftest: there is no script")
	case o.selftestTimeout <= 0 || o.selftestTimeout > selftestMax:
		return nil, fmt.Errorf("--selftest-timeout must be more than 0 and at most %v", selftestMax)
	case o.static != "" && (o.watch.on || o.dev):
		return nil, errors.New("--static cannot be used together with --watch or --dev: there is no script")
	case o.static == "" && o.listen != "":
		return nil, errors.New("--listen is for --static: a script says itself where it listens")
	case o.static == "" && f.Arg(0) == "":
		return nil, errors.New("no script given")
	case o.logFacility != "" && facilities[o.logFacility] == 0 && o.logFacility != "kern":
		return nil, fmt.Errorf("--logfacility %s: unknown; one of %s", o.logFacility, facilityNames())
	case o.logFacility != "" && o.logFile != "":
		return nil, errors.New("--logfile and --logfacility cannot be used together")
	case o.background && o.accessLog == "-":
		return nil, errors.New("--access-log -: there is no standard output in the background")
	}
	if err := o.checkAdmin(); err != nil {
		return nil, err
	}
	if err := o.checkCrashes(f); err != nil {
		return nil, err
	}
	if err := o.checkTraces(f); err != nil {
		return nil, err
	}
	if err := o.checkBus(); err != nil {
		return nil, err
	}
	if o.background && o.logFile == "" && o.logFacility == "" {
		o.logFacility = "daemon"
	}
	var err error
	if o.privileges, err = lookupPrivileges(o.user, o.group); err != nil {
		return nil, err
	}
	o.watch.on = o.watch.on || o.dev
	o.plain = o.dev && !f.Changed("log-format")
	if o.static != "" {
		_, err := directorySpec(o)
		return o, err
	}
	o.script, o.args = f.Arg(0), f.Args()[1:]
	return o, nil
}

// checkAdmin reads the address of the admin listener.
func (o *options) checkAdmin() (err error) {
	if o.admin == "" {
		if o.adminRemote || o.adminPprof || o.adminToken != "" {
			return errors.New("--admin-remote, --admin-token-file and --admin-pprof need --admin")
		}
		return nil
	}
	o.adminAddress, err = admin.ParseAddress(o.admin, o.adminRemote)
	if errors.Is(err, admin.ErrRemote) {
		return fmt.Errorf("--admin %s: %w; with --admin-remote it is allowed", o.admin, err)
	}
	if err != nil {
		return fmt.Errorf("--admin %s: %w", o.admin, err)
	}
	return nil
}

// checkCrashes checks the options of --crash-dir.
func (o *options) checkCrashes(f *pflag.FlagSet) error {
	switch {
	case o.crashDir == "" && (f.Changed("crash-files") || f.Changed("crash-bytes") || len(o.crashMask) > 0 || o.crashUnmask):
		return errors.New("--crash-files, --crash-bytes, --crash-mask and --crash-unmasked need --crash-dir")
	case o.crashDir != "" && o.static != "":
		return errors.New("--crash-dir: with --static there are no workers")
	case o.crashFiles < 1 || o.crashFiles > crashFilesMax:
		return fmt.Errorf("--crash-files must be between 1 and %d", crashFilesMax)
	case o.crashBytes == 0:
		return errors.New("--crash-bytes must be greater than 0: no record would have room")
	case o.crashUnmask && len(o.crashMask) > 0:
		return errors.New("--crash-mask and --crash-unmasked cannot be used together")
	}
	return nil
}

const (
	crashFilesDefault = 100
	crashBytesDefault = 64 << 20
	// crashFilesMax bounds --crash-files: the directory is read before a file is added.
	crashFilesMax = 10_000
)

// subject is what is served, for messages.
func (o *options) subject() string {
	if o.static != "" {
		return o.static
	}
	return o.script
}

// subjectAttr is the same for the log.
func (o *options) subjectAttr() slog.Attr {
	if o.static != "" {
		return slog.String("static", o.static)
	}
	return slog.String("script", o.script)
}

// readable returns an error if what is to be served cannot be opened.
func (o *options) readable() error {
	if o.static != "" {
		return nil // the error of opening it later is as good
	}
	err := readable(o.script)
	if err != nil && o.watch.on && isDirectory(o.script) {
		err = fmt.Errorf("%w (a directory to watch is given as in --watch=%s)", err, o.script)
	}
	return err
}

// maxLoops bounds --loops: each loop has a thread, a poller, and a doorbell in every worker.
const maxLoops = 128
