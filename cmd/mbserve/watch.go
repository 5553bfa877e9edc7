package main

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"moonbridge/handler/pool"
)

// With --watch the script is loaded anew when one of the files changes that it is made of. They are looked at twice a second:
// that costs next to nothing for some dozens of files, and works where the system tells nobody about changes, as on
// network file systems and in containers.

const (
	watchEvery = 500 * time.Millisecond
	// watchSettle is how long a file that has changed must stay as it is: editors write in several steps.
	watchSettle = 100 * time.Millisecond
	// watchGone is how long a file must be missing before that counts as a change: some editors remove it first.
	watchGone = 2 * time.Second
	// watchFilesMax bounds the files that are watched. Further ones are not.
	watchFilesMax = 4096
)

// fileWatch knows the files of the script. A nil fileWatch knows none.
type fileWatch struct {
	log     *slog.Logger
	changed chan struct{} // something has changed
	cancel  context.CancelFunc
	ended   chan struct{}

	mu    sync.Mutex
	files map[string]*watchedFile
	since int  // generations before this one do not count any more
	full  bool // it was said that there are too many files
}

// watchedFile is what is known of a file.
type watchedFile struct {
	generation  int       // the last that has loaded it
	loaded, now pool.File // as it was loaded, and as it was when it was looked at last
	at          time.Time // since when it is as it is now
}

func newFileWatch(log *slog.Logger) *fileWatch {
	ctx, cancel := context.WithCancel(context.Background())
	w := &fileWatch{log: log, changed: make(chan struct{}, 1), cancel: cancel, ended: make(chan struct{}), files: make(map[string]*watchedFile)}
	go w.run(ctx)
	return w
}

// changes tells of changes; nil, which blocks for ever, if nothing is watched.
func (w *fileWatch) changes() <-chan struct{} {
	if w == nil {
		return nil
	}
	return w.changed
}

// end ends the watch.
func (w *fileWatch) end() {
	if w != nil {
		w.cancel()
		<-w.ended
	}
}

// listener is pool.Config.Files for a generation.
func (w *fileWatch) listener(generation int) func([]pool.File) {
	if w == nil {
		return nil
	}
	return func(files []pool.File) { w.add(generation, files, time.Now()) }
}

// add takes note of files that a generation has loaded. What a file was like is taken from the youngest: how it was when an
// older one loaded it does not matter any more.
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
			if !w.full {
				w.full = true
				w.log.Warn("watch: too many files: further ones are not watched", "limit", watchFilesMax)
			}
		case known == nil || known.generation < generation:
			w.files[f.Path] = &watchedFile{generation: generation, loaded: f, now: f, at: now}
		}
	}
}

// settle says that a generation serves: files that only older ones have loaded are forgotten. Until then they are watched
// with those of a newer one, which may fail because of either.
func (w *fileWatch) settle(generation int) {
	if w == nil {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.since = generation
	for path, f := range w.files {
		if f.generation < generation {
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
		path, unsettled := w.look(time.Now(), statFile)
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

// look looks at all files. It returns one that has changed, and whether there are some of which that is not clear yet. What
// has been reported is not reported again.
func (w *fileWatch) look(now time.Time, stat func(string) pool.File) (changed string, unsettled bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for path, f := range w.files {
		is := stat(path)
		if is != f.now {
			f.now, f.at = is, now
		}
		if is == f.loaded {
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
		return "", unsettled // wait for those that change at the same time
	}
	for _, f := range w.files {
		f.loaded = f.now
	}
	return changed, false
}

// statFile is what a file is like; all numbers are 0 if it is not there.
func statFile(path string) pool.File {
	f := pool.File{Path: path}
	var st unix.Stat_t
	if unix.Stat(path, &st) == nil {
		f.ModTime, f.Size, f.Inode = st.Mtim.Nano(), st.Size, st.Ino
	}
	return f
}
