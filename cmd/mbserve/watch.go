package main

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"moonbridge/handler/pool"
)

// With --watch the script is reloaded when one of its files changes. The files are checked twice a second. That costs
// next to nothing for a few dozen files, and works where the system does not report changes, such as on network file
// systems and in containers.

const (
	watchEvery = 500 * time.Millisecond
	// watchSettle is how long a changed file must stay unchanged before it counts: editors write in several steps.
	watchSettle = 100 * time.Millisecond
	// watchGone is how long a file must be missing before that counts as a change: some editors remove the file first.
	watchGone = 2 * time.Second
	// watchFilesMax is the largest number of watched files.
	watchFilesMax = 4096
)

// fileWatch watches the files of the script. A nil fileWatch watches none.
type fileWatch struct {
	log     *slog.Logger
	changed chan struct{} // a file has changed
	cancel  context.CancelFunc
	ended   chan struct{}
	extra   []string // paths of files that are watched besides

	mu    sync.Mutex
	files map[string]*watchedFile
	since int  // earlier generations no longer count
	full  bool // it has been logged that there are too many files
}

// watchedFile is the state of a watched file.
type watchedFile struct {
	generation  int       // the latest that has loaded it, or noGeneration
	extra       bool      // it is watched because of --watch=PATH, whoever has loaded it
	loaded, now pool.File // as it was loaded, and as it was at the last check
	at          time.Time // time of the last change seen
}

// noGeneration has loaded a file that is watched only because of --watch=PATH.
const noGeneration = -1

func newFileWatch(log *slog.Logger, extra []string) *fileWatch {
	ctx, cancel := context.WithCancel(context.Background())
	w := &fileWatch{
		log: log, changed: make(chan struct{}, 1), cancel: cancel, ended: make(chan struct{}), files: make(map[string]*watchedFile),
		extra: extra,
	}
	w.findExtra(true, time.Now())
	go w.run(ctx)
	return w
}

// changes returns a channel that signals changes. It is nil, which blocks forever, if nothing is watched.
func (w *fileWatch) changes() <-chan struct{} {
	if w == nil {
		return nil
	}
	return w.changed
}

// end stops watching.
func (w *fileWatch) end() {
	if w != nil {
		w.cancel()
		<-w.ended
	}
}

// listener returns the pool.Config.Files of a generation.
func (w *fileWatch) listener(generation int) func([]pool.File) {
	if w == nil {
		return nil
	}
	return func(files []pool.File) { w.add(generation, files, time.Now()) }
}

// add records the files that a generation has loaded. The state of a file is that seen by the latest generation; its
// state when an earlier one loaded it no longer matters.
func (w *fileWatch) add(generation int, files []pool.File, now time.Time) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if generation < w.since {
		return
	}
	for _, f := range files {
		known := w.files[f.Path]
		switch {
		case known == nil && len(w.files) >= watchFilesMax:
			w.tellFull()
		case known != nil && known.extra:
			known.generation = max(known.generation, generation) // its changes count whoever has seen them
		case known == nil || known.generation < generation:
			w.files[f.Path] = &watchedFile{generation: generation, loaded: f, now: f, at: now}
		}
	}
}

// tellFull logs, once, that there are too many files.
func (w *fileWatch) tellFull() {
	if !w.full {
		w.full = true
		w.log.Warn("watch: too many files: the rest are not watched", "limit", watchFilesMax)
	}
}

// addScript records the script of a generation under the path by which the next one will be found: a link in it may lead
// elsewhere by then.
func (w *fileWatch) addScript(generation int, path string) {
	if w != nil {
		w.add(generation, []pool.File{statFile(path)}, time.Now())
	}
}

// forgetBefore is called when a generation serves. It drops the files that only earlier generations have loaded. Until
// then they are watched together with those of the new generation, whose load may fail because of either.
func (w *fileWatch) forgetBefore(generation int) {
	if w == nil {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.since = generation
	for path, f := range w.files {
		if f.generation < generation && !f.extra {
			delete(w.files, path)
		}
	}
}

func (w *fileWatch) run(ctx context.Context) {
	defer close(w.ended)
	pause := watchEvery
	for {
		select {
		case <-ctx.Done():
			return
		case <-time.After(pause):
		}
		if len(w.extra) > 0 {
			w.findExtra(false, time.Now())
		}
		path, unsettled := w.check(time.Now(), statFile)
		if path != "" {
			w.log.Info("file has changed", "file", path)
			signalTo(w.changed)
		}
		pause = watchEvery
		if unsettled {
			pause = watchSettle
		}
	}
}

// check checks all files. It returns one that has changed, and whether some changes have not settled yet. A change is
// reported only once.
func (w *fileWatch) check(now time.Time, stat func(string) pool.File) (changed string, unsettled bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for path, f := range w.files {
		is := stat(path)
		if is != f.now {
			f.now, f.at = is, now
		}
		if is == f.loaded {
			if f.extra && is == (pool.File{Path: path}) {
				delete(w.files, path) // it is found again if it comes back
			}
			continue
		}
		settle := watchSettle
		if is == (pool.File{Path: path}) {
			settle = watchGone
		}
		if now.Sub(f.at) < settle {
			unsettled = true
			continue
		}
		if changed == "" || path < changed {
			changed = path
		}
	}
	if changed == "" || unsettled {
		return "", unsettled // wait for files that change at the same time
	}
	for _, f := range w.files {
		f.loaded = f.now
	}
	return changed, false
}

// signalTo sends on a channel with a buffer of one; a pending signal is enough.
func signalTo(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// statFile returns the state of a file. All numbers are 0 if it does not exist.
func statFile(path string) pool.File {
	f := pool.File{Path: path}
	var st unix.Stat_t
	if unix.Stat(path, &st) == nil {
		f.ModTime, f.Size, f.Inode = st.Mtim.Nano(), st.Size, st.Ino
	}
	return f
}
