package cache

import "moonbridge/handler/backend"

// fileRange is a range of a file that waits until what is before it has been taken.
type fileRange struct {
	f         backend.SentFile
	offset, n int64
}

// OutputFile implements backend.FileSender. What is sent from a file needs no place in memory, so it is not kept.
func (r forwarded) OutputFile(f backend.SentFile, offset, n int64, last bool) {
	if r.capture != nil {
		if !r.capture.decided {
			r.push(r.capture.head1)
		}
		r.failFill(markUncacheable)
	}
	sender, ok := r.x.(backend.FileSender)
	switch {
	case r.x == nil || r.ownAnswer:
		f.Release()
	case !ok:
		f.Release()
		r.resetClient()
	case r.holds() && !r.flushHeld():
		r.files = append(r.files, fileRange{f, offset, n})
	default:
		sender.OutputFile(f, offset, n, last)
	}
}

// sendFiles sends the ranges that wait. The client takes files: otherwise none would wait.
func (r *run) sendFiles() {
	files := r.files
	r.files = nil
	for i, one := range files {
		r.x.(backend.FileSender).OutputFile(one.f, one.offset, one.n, i == len(files)-1 && r.closing)
	}
}

// holds reports whether output waits for the client.
func (r *run) holds() bool { return len(r.held) > 0 || len(r.files) > 0 }

// dropHeld drops it.
func (r *run) dropHeld() {
	r.held = nil
	for _, one := range r.files {
		one.f.Release()
	}
	r.files = nil
}

// resetClient gives up a response that cannot be continued.
func (r *run) resetClient() {
	x := r.x
	r.dropHeld()
	r.x, r.ownAnswer = nil, true
	r.local, r.remote = x.Addrs()
	x.Done(backend.EndReset)
}
