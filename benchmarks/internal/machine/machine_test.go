package machine

import (
	"runtime"
	"testing"
)

const cpuinfo = `processor	: 0
model		: 17
model name	: AMD EPYC
cpu MHz		: 2596.142
flags		: fpu vme hypervisor lahf_lm

processor	: 1
model name	: another
`

func TestDescribeCPU(t *testing.T) {
	tests := []struct{ name, in, want string }{
		{"virtual", cpuinfo, "AMD EPYC, 2 cores, 2596.142 MHz, virtual machine"},
		{"real", "model name : X\nflags : fpu hypervisors\n", "X, 2 cores"},
		{"no information", "", "unknown, 2 cores"},
	}
	for _, test := range tests {
		if got := describeCPU(test.in, 2); got != test.want {
			t.Errorf("%s: got %q, want %q", test.name, got, test.want)
		}
	}
}

func TestFacts(t *testing.T) {
	facts := make(map[string]string)
	for _, f := range Facts(t.TempDir()) {
		if f.Value == "" {
			t.Errorf("%s is empty", f.Name)
		}
		facts[f.Name] = f.Value
	}
	if facts["go"] != runtime.Version() {
		t.Errorf("go: %q", facts["go"])
	}
	if facts["commit"] != unknown {
		t.Errorf("a folder outside the repository has commit %q", facts["commit"])
	}
	if got := Version("/nothing/here"); got != unknown {
		t.Errorf("a program that does not exist has version %q", got)
	}
}
