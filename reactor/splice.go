package reactor

import "golang.org/x/sys/unix"

// Pipe is a pipe through which Splice moves bytes.
type Pipe struct{ R, W int }

// PipeBytes is how much a Pipe holds, if the system allows that.
const PipeBytes = 256 << 10

// Close closes both ends.
func (p Pipe) Close() {
	unix.Close(p.R)
	unix.Close(p.W)
}
