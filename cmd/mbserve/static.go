package main

import (
	"fmt"
	"os"
	"path/filepath"

	"moonbridge/handler/compress"
	"moonbridge/handler/files/static"
	"moonbridge/handler/pool/listen"
)

// openStatic opens the directories of a pool's rules for files; nil: there are none. fresh: each request sees the files as they
// are, as developers want it.
func openStatic(rules []listen.StaticRule, fresh bool, compressor *compress.Shared) (*static.Static, error) {
	if len(rules) == 0 {
		return nil, nil
	}
	c := static.Config{Rules: staticRules(rules), Encode: compressor.Encode}
	if fresh {
		c.Fresh = -1
	}
	files, err := static.New(c)
	if err != nil {
		return nil, fmt.Errorf("static: %w", err)
	}
	return files, nil
}

// staticRules are the rules of a script, with absolute paths.
func staticRules(rules []listen.StaticRule) []static.Rule {
	var all []static.Rule
	for _, r := range rules {
		all = append(all, static.Rule{
			Prefix: r.Prefix, Path: physical(r.Path), MaxAge: r.MaxAge, HasMaxAge: r.HasMaxAge, Immutable: r.Immutable, Index: r.Index,
			Listing: r.Listing, Dotfiles: r.Dotfiles, Symlinks: r.Symlinks, NotFound: r.NotFound, Original: !r.Precompressed,
			Compress: r.Compress,
		})
	}
	return all
}

// physical returns a path that stays the same when the working directory changes, or a symbolic link through which it was
// entered: files and script belong to the same release. See workdir.go.
func physical(path string) string {
	if filepath.IsAbs(path) {
		return path
	}
	dir, err := os.Getwd()
	if err == nil {
		dir, err = filepath.EvalSymlinks(dir)
	}
	if err != nil {
		return path
	}
	return dir + "/" + path
}
