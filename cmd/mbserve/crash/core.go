package crash

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

const (
	// backtraceTimeout is how long gdb may take.
	backtraceTimeout = 20 * time.Second
	// backtraceMax bounds what it says.
	backtraceMax = 64 << 10
)

// Core is what is known of the core of a process.
type Core struct {
	Dumped  bool // the system says that there is one
	PID     int
	Ended   time.Time
	Program string
	Dir     string // the working directory of the process
	Pattern string // core_pattern of Linux; empty: not known
}

// Pattern reads core_pattern.
func Pattern() string {
	b, _ := os.ReadFile("/proc/sys/kernel/core_pattern")
	return strings.TrimSpace(string(b))
}

// Backtrace is the backtrace of C, or why there is none and how to get one.
func (c *Core) Backtrace() (text, missing string) {
	if !c.Dumped {
		return "", "there is no core: the limit of its size is 0, or it could not be written (ulimit -c unlimited, in a unit LimitCORE=infinity)"
	}
	if strings.HasPrefix(c.Pattern, "|") {
		return "", fmt.Sprintf("the system has given the core to a program (%s): coredumpctl debug %d, if it is systemd-coredump", c.Pattern, c.PID)
	}
	name := c.find()
	if name == "" {
		return "", fmt.Sprintf("the core was not found (core_pattern %q, in %s)", c.Pattern, c.Dir)
	}
	by := fmt.Sprintf("gdb %s %s", c.Program, name)
	gdb, err := exec.LookPath("gdb")
	if err != nil {
		return "", "gdb is not installed; with it: " + by
	}
	if text, err = run(gdb, c.Program, name); err != nil {
		return text, fmt.Sprintf("%s: %v", by, err)
	}
	return text, ""
}

// find returns the name of the core; empty: it is not there.
func (c *Core) find() string {
	pattern := c.Pattern
	pattern = cmp.Or(pattern, "core")
	if !filepath.IsAbs(pattern) {
		pattern = filepath.Join(c.Dir, pattern)
	}
	pattern = c.expand(pattern)
	for _, name := range []string{pattern + "." + strconv.Itoa(c.PID), pattern} { // core_uses_pid appends the number
		names, _ := filepath.Glob(name)
		for _, name := range names {
			if info, err := os.Lstat(name); err == nil && ours(info) && info.ModTime().After(c.Ended.Add(-coreAge)) {
				return name
			}
		}
	}
	return ""
}

// ours reports whether it is a file that no other user has put there.
func ours(info os.FileInfo) bool {
	st, ok := info.Sys().(*syscall.Stat_t)
	return info.Mode().IsRegular() && (!ok || int(st.Uid) == os.Geteuid())
}

// coreAge is how much older than the news of its process's end a core may be.
const coreAge = 10 * time.Second

// expand replaces what the system replaces in core_pattern. What is not known here is a wildcard.
func (c *Core) expand(pattern string) string {
	var b strings.Builder
	for i := 0; i < len(pattern); i++ {
		if pattern[i] != '%' || i+1 == len(pattern) {
			b.WriteByte(pattern[i])
			continue
		}
		i++
		switch pattern[i] {
		case '%':
			b.WriteByte('%')
		case 'p', 'P':
			b.WriteString(strconv.Itoa(c.PID))
		default:
			b.WriteByte('*')
		}
	}
	return b.String()
}

// run has gdb show the stacks of a core.
func run(gdb, program, core string) (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), backtraceTimeout)
	defer cancel()
	cmd := exec.CommandContext(ctx, gdb, "-nx", "-batch", "-iex", "set auto-load off", "-iex", "set debuginfod enabled off",
		"-ex", "bt 60", program, core)
	cmd.WaitDelay = time.Second
	out := &limited{}
	cmd.Stdout, cmd.Stderr = out, io.Discard
	err := cmd.Run()
	return out.b.String(), err
}

// limited is a buffer of at most backtraceMax bytes. It takes more. It does not embed the buffer: io.Copy would find its ReadFrom, which
// has no bound.
type limited struct{ b bytes.Buffer }

func (l *limited) Write(p []byte) (int, error) {
	l.b.Write(p[:min(len(p), backtraceMax-l.b.Len())])
	return len(p), nil
}
