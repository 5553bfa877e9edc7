package main

import (
	"os"
	"testing"
)

// envServer makes this test binary run as the server. Its value marks all processes of one server, which inherit it.
const envServer = "MBSERVE_TEST_SERVER"

// envSyslog is the address of the system log in tests.
const envSyslog = "MBSERVE_TEST_SYSLOG"

// TestMain is not reached in fork servers and workers: package worker takes over before.
func TestMain(m *testing.M) {
	if os.Getenv(envForbidden) != "" {
		execWithoutCode()
	}
	if os.Getenv(envWscat) != "" {
		os.Exit(wscat(os.Args[1:]))
	}
	if os.Getenv(envServer) != "" {
		if path := os.Getenv(envSyslog); path != "" {
			syslogAt.network, syslogAt.address = "unixgram", path
		}
		os.Exit(run(os.Args[1:], os.Stdout, os.Stderr))
	}
	os.Exit(m.Run())
}
