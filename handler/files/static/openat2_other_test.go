//go:build !linux

package static

import "testing"

// withoutOpenat2 does nothing where os.Root is used anyway.
func withoutOpenat2(*testing.T) {}

// makeDevice does nothing: to make a device differs from system to system.
func makeDevice(*testing.T, string) {}
