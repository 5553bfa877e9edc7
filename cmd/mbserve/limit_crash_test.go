package main

import "testing"

// Infinite recursion is a Lua error if Lua notices it, and the end of the process if it does not.
func TestRecursion(t *testing.T) {
	t.Parallel()
	s := start(t, "testdata/limit_recursion.lua")
	beside := askBeside(t, s.address(0), "/pid")
	for _, test := range []struct {
		path   string
		status []int
		log    []string
	}{
		{"lua", []int{500}, []string{"stack overflow"}},
		{"pattern", []int{500}, []string{"too complex"}},
		{"syntax", []int{500}, nil},
		// LuaJIT puts a buffer on the C stack for each level; Lua 5.4 counts levels.
		{"gsub", []int{500, 502}, nil},
		{"coroutine", []int{500, 502}, nil},
	} {
		t.Run(test.path, func(t *testing.T) {
			from := s.log.size()
			got := status(t, "POST", s.url("/"+test.path))
			if got != test.status[0] && got != test.status[len(test.status)-1] {
				t.Errorf("status %d, want one of %v", got, test.status)
			}
			if got == 502 {
				s.log.wait(t, from, "worker ended", "signal SIGSEGV", "lost=1")
				return
			}
			s.log.wait(t, from, append(test.log, "level=ERROR", "path=/"+test.path)...)
		})
	}
	beside.end()
}
