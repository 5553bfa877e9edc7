package main

import (
	"os"
	"testing"
)

// envServer makes this test binary run as the server. Its value marks all processes of one server, which inherit it.
const envServer = "MBSERVE_TEST_SERVER"

// TestMain is not reached in fork servers and workers: package worker takes over before.
func TestMain(m *testing.M) {
	if os.Getenv(envForbidden) != "" {
		execWithoutCode()
	}
	if os.Getenv(envServer) != "" {
		os.Exit(run(os.Args[1:], os.Stdout, os.Stderr))
	}
	os.Exit(m.Run())
}
