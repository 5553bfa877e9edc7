package machine

import (
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strings"
)

const unknown = "unknown"

// Fact is one line of the description.
type Fact struct{ Name, Value string }

// Facts returns the description of the machine and of the tools; dir is a folder of the source tree.
func Facts(dir string) []Fact {
	cpuinfo, _ := os.ReadFile("/proc/cpuinfo")
	meminfo, _ := os.ReadFile("/proc/meminfo")
	return []Fact{
		{"cpu", describeCPU(string(cpuinfo), runtime.NumCPU())},
		{"memory", orUnknown(field(string(meminfo), "MemTotal"))},
		{"kernel", orUnknown(readLine("/proc/sys/kernel/osrelease"))},
		{"load average", orUnknown(readLine("/proc/loadavg"))},
		{"commit", commit(dir)},
		{"go", runtime.Version()},
		{"nginx", orUnknown(strings.TrimPrefix(output("", "nginx", "-v"), "nginx version: "))},
	}
}

// describeCPU returns the CPU model and count from the text of /proc/cpuinfo.
func describeCPU(cpuinfo string, cores int) string {
	model := orUnknown(field(cpuinfo, "model name"))
	description := fmt.Sprintf("%s, %d cores", model, cores)
	if mhz := field(cpuinfo, "cpu MHz"); mhz != "" {
		description += ", " + mhz + " MHz"
	}
	if flags := " " + field(cpuinfo, "flags") + " "; strings.Contains(flags, " hypervisor ") {
		description += ", virtual machine"
	}
	return description
}

// field returns the value of the first line "name : value".
func field(text, name string) string {
	for line := range strings.Lines(text) {
		key, value, found := strings.Cut(line, ":")
		if found && strings.TrimSpace(key) == name {
			return strings.TrimSpace(value)
		}
	}
	return ""
}

func commit(dir string) string {
	hash := output(dir, "git", "rev-parse", "--short=12", "HEAD")
	if hash == "" {
		return unknown
	}
	if output(dir, "git", "status", "--porcelain", "--untracked-files=no") != "" {
		hash += " and changes that are not committed"
	}
	return hash
}

// Version returns the first line of a program's version output.
func Version(program string, args ...string) string { return orUnknown(output("", program, args...)) }

// output returns the first line of a program's output, or "" if the program fails.
func output(dir, program string, args ...string) string {
	cmd := exec.Command(program, args...)
	cmd.Dir = dir
	out, err := cmd.CombinedOutput()
	if err != nil {
		return ""
	}
	line, _, _ := strings.Cut(string(out), "\n")
	return strings.TrimSpace(line)
}

func readLine(path string) string {
	text, _ := os.ReadFile(path)
	line, _, _ := strings.Cut(string(text), "\n")
	return strings.TrimSpace(line)
}

func orUnknown(text string) string {
	if text == "" {
		return unknown
	}
	return text
}
