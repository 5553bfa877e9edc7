package main

import (
	"io/fs"
	"path/filepath"
	"strings"
	"time"

	"moonbridge/handler/pool"
)

// The files of --watch=PATH are looked for again each time, since new ones count as changes.

// extraFiles lists the files of a directory and of those below it, or those that match a pattern. Names that begin with a dot are
// left out, unless the pattern has them: editors keep their own files under such names.
func extraFiles(pattern string, limit int) (files []string) {
	matches, _ := filepath.Glob(pattern) // it was checked before
	for _, match := range matches {
		if len(files) >= limit {
			break
		}
		if !isDirectory(match) {
			files = append(files, match)
			continue
		}
		filepath.WalkDir(match+"/", func(path string, d fs.DirEntry, err error) error {
			switch {
			case len(files) >= limit:
				return filepath.SkipAll
			case err != nil || path == match+"/":
				return nil
			case strings.HasPrefix(d.Name(), ".") && d.IsDir():
				return filepath.SkipDir
			case strings.HasPrefix(d.Name(), ".") || d.IsDir():
				return nil
			}
			files = append(files, path)
			return nil
		})
	}
	return files
}

// findExtra looks for the files of the extra paths. Those that are new have changed, except for the first time.
func (w *fileWatch) findExtra(first bool, now time.Time) {
	var found []string
	for _, path := range w.extra {
		files := extraFiles(path, watchFilesMax-len(found))
		if first && len(files) == 0 {
			w.log.Warn("watch: there is no such file yet", "path", path)
		}
		found = append(found, files...)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, path := range found {
		if known := w.files[path]; known != nil {
			known.extra = true
			continue
		}
		if len(w.files) >= watchFilesMax {
			w.tellFull()
			return
		}
		f := &watchedFile{generation: noGeneration, extra: true, loaded: pool.File{Path: path}, now: pool.File{Path: path}, at: now}
		if first {
			f.now = statFile(path)
			f.loaded = f.now
		}
		w.files[path] = f
	}
}
