package program

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"path/filepath"
	"strings"

	"moonbridge/benchmarks/internal/servers"
)

// Flags are the flags of a program: -dir, those that its methods add, and those that the program adds itself.
type Flags struct {
	*flag.FlagSet
	settings *servers.Settings
	name     *string // of the report, or nil

	dir, mbserveFlags, mbserveOptions string
}

// NewFlags returns the flags of a program. Parse sets the folder benchmarks in s. purpose is the text of the help.
func NewFlags(name, purpose string, s *servers.Settings, errout io.Writer) *Flags {
	f := &Flags{FlagSet: flag.NewFlagSet(name, flag.ContinueOnError), settings: s}
	f.SetOutput(errout)
	f.Usage = func() {
		fmt.Fprintf(errout, "usage: %s [flags]\n\n%s\n\nflags:\n", name, purpose)
		f.PrintDefaults()
	}
	f.StringVar(&f.dir, "dir", "", "the `folder` benchmarks of the source tree (default: found from the working directory)")
	return f
}

// Mbserve adds the flags that say which mbserve is measured, and how it is started.
func (f *Flags) Mbserve() {
	f.StringVar(&f.settings.Mbserve, "mbserve", "", "`path` of the binary mbserve (default: bin/mbserve of the source tree)")
	f.StringVar(&f.mbserveFlags, "mbserve-flags", "", "further command line `arguments` for mbserve, separated by blanks")
}

// Options adds the flag for the options of mbserve's listen{}.
func (f *Flags) Options(standard string) {
	f.StringVar(&f.mbserveOptions, "mbserve-options", standard,
		"options for listen{} as a `list` such as min_fork=2,max_fork=16,http.idle_timeout=30")
}

// Nginx adds the flags that say how nginx is started.
func (f *Flags) Nginx() {
	f.StringVar(&f.settings.NginxModules, "nginx-modules", "/usr/lib/nginx/modules", "`folder` of nginx' modules")
	f.IntVar(&f.settings.NginxWorkers, "nginx-workers", 0, "worker processes of nginx; 0: one for each core")
}

// Report adds the flag that says under which name Report keeps the report.
func (f *Flags) Report(name *string, standard string) {
	f.name = name
	f.StringVar(name, "name", standard, "the report is kept as results/<date>-`name`.txt; - for none")
}

// Parse parses the command line and completes the settings.
func (f *Flags) Parse(args []string) (err error) {
	if err := f.FlagSet.Parse(args); err != nil {
		return err
	}
	if f.NArg() > 0 {
		return fmt.Errorf("unexpected argument %q", f.Arg(0))
	}
	if f.name != nil && (*f.name == "" || strings.ContainsAny(*f.name, "/\x00")) {
		return errors.New("-name must not be empty or a path")
	}
	s := f.settings
	if s.Benchmarks, err = servers.FindBenchmarks(f.dir); err != nil {
		return err
	}
	if s.Mbserve == "" {
		s.Mbserve = filepath.Join(s.Benchmarks, "..", "bin", "mbserve")
	}
	s.MbserveFlags = strings.Fields(f.mbserveFlags)
	if f.mbserveOptions != "" {
		s.MbserveOptions = strings.Split(f.mbserveOptions, ",")
	}
	s.Mbserve, err = filepath.Abs(s.Mbserve)
	return err
}
