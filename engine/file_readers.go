package engine

import "sync"

// fileReaders runs reads of files that may wait, for a disk or longer, on goroutines. Each file system has its own, so that one that
// hangs stops no others. A connection has one read in progress, so what waits is bounded by the connections.
type fileReaders struct {
	mu     sync.Mutex
	mounts map[uint64]*mountReaders // by backend.MountOf; only those in use
}

type mountReaders struct {
	running int
	queue   []func()
}

// readersMax is how many reads of a file system run at a time. Each holds a thread.
const readersMax = 16

func newFileReaders() *fileReaders { return &fileReaders{mounts: make(map[uint64]*mountReaders)} }

// start runs fn soon.
func (r *fileReaders) start(mount uint64, fn func()) {
	r.mu.Lock()
	defer r.mu.Unlock()
	m := r.mounts[mount]
	if m == nil {
		m = new(mountReaders)
		r.mounts[mount] = m
	}
	if m.running == readersMax {
		m.queue = append(m.queue, fn)
		return
	}
	m.running++
	go r.work(mount, m, fn)
}

// work runs fn, and then what waits.
func (r *fileReaders) work(mount uint64, m *mountReaders, fn func()) {
	for fn != nil {
		fn()
		fn = r.next(mount, m)
	}
}

func (r *fileReaders) next(mount uint64, m *mountReaders) func() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(m.queue) > 0 {
		fn := m.queue[0]
		m.queue[0] = nil
		m.queue = m.queue[1:]
		return fn
	}
	if m.running--; m.running == 0 {
		delete(r.mounts, mount)
	}
	return nil
}
