package pool

import "testing"

// setProcessGroupFlag sets a flag other than the one that has a signal reach a group, until the test ends.
func setProcessGroupFlag(t *testing.T, flag int) {
	before := pidfdGroup
	pidfdGroup = flag
	t.Cleanup(func() { pidfdGroup = before })
}
