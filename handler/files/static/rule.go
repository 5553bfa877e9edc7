package static

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"moonbridge/handler/files"
)

// Rule says which files are served for which paths.
type Rule struct {
	// Prefix is the path of requests. If it ends in a slash, Path is a directory, and the rest of a path is looked up there.
	// Otherwise Path is the file for exactly this path.
	Prefix string
	Path   string // of the directory or file

	MaxAge    time.Duration // how long clients may use a file without asking; 0: they have to ask. Only with HasMaxAge
	HasMaxAge bool
	Immutable bool   // files with a hash in their name never change: see files.Hashed
	Index     string // name of the file that is served for a directory; empty: none
	Listing   bool   // a directory without one is listed
	Dotfiles  bool   // files are served even if a part of the path begins with a dot
	Symlinks  bool   // symbolic links may lead out of the directory
	NotFound  bool   // what is missing is answered 404, and is not passed on
	Original  bool   // compressed files beside the original are not used
	Compress  bool   // files without one are compressed: see Config.Encode
}

// IndexDefault is the usual name of an index file.
const IndexDefault = "index.html"

// RulesMax bounds the rules: each request is compared with each prefix.
const RulesMax = 256

// immutable is the Cache-Control of files that never change.
const immutable = "public, max-age=31536000, immutable"

// Check reports what is wrong with a rule.
func (r *Rule) Check() error {
	switch {
	case !strings.HasPrefix(r.Prefix, "/"):
		return errors.New("does not begin with a slash")
	case r.Path == "":
		return errors.New("there is no file or directory")
	case strings.ContainsRune(r.Path, 0):
		return fmt.Errorf("%q is not the path of a file", r.Path)
	case strings.ContainsAny(r.Index, "/\x00"):
		return fmt.Errorf("index: %q is not the name of a file", r.Index)
	}
	var n normalizer
	if path, ok := n.normalize([]byte(escapePath(r.Prefix))); !ok || string(path) != r.Prefix {
		return errors.New("is not a plain path: it has empty segments, dots, or characters that are not served")
	}
	return nil
}

// rule is a Rule in use.
type rule struct {
	Rule
	dir          *dir
	file         string // name in dir, for a rule of one file
	cacheControl string
}

// cacheControlOf is the Cache-Control of a file.
func (r *rule) cacheControlOf(name string) string {
	if r.Immutable && files.Hashed(name) {
		return immutable
	}
	return r.cacheControl
}

func newRule(r Rule) (*rule, error) {
	if err := r.Check(); err != nil {
		return nil, fmt.Errorf("%s: %w", r.Prefix, err)
	}
	u := &rule{Rule: r}
	if r.HasMaxAge {
		u.cacheControl = "no-cache"
		if seconds := int64(r.MaxAge / time.Second); seconds > 0 {
			u.cacheControl = "max-age=" + strconv.FormatInt(seconds, 10)
		}
	}
	path := r.Path
	if !strings.HasSuffix(r.Prefix, "/") {
		if path, u.file = splitFile(r.Path); u.file == "" {
			return nil, fmt.Errorf("%s: %s is a directory: the path of its files has to end in a slash", r.Prefix, r.Path)
		}
		// The script names this very file, whatever it is called and wherever it is.
		u.Dotfiles, u.Symlinks = true, true
	}
	var err error
	if u.dir, err = openDir(path); err == nil && u.file != "" {
		err = u.dir.check(u.file)
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", r.Prefix, err)
	}
	return u, nil
}

// splitFile splits the path of a file into its directory and its name.
func splitFile(path string) (dir, name string) {
	i := strings.LastIndexByte(path, '/')
	switch i {
	case -1:
		return ".", path
	case 0:
		return "/", path[1:]
	}
	return path[:i], path[i+1:]
}

// sortRules puts longer prefixes first.
func sortRules(rules []*rule) {
	slices.SortStableFunc(rules, func(a, b *rule) int { return len(b.Prefix) - len(a.Prefix) })
}

// match returns the rule for a normalized path, or nil.
func match(rules []*rule, path []byte) *rule {
	for _, r := range rules {
		n := len(r.Prefix)
		if len(path) < n || string(path[:n]) != r.Prefix {
			continue
		}
		if r.file == "" || len(path) == n {
			return r
		}
	}
	return nil
}

// name is the name of the file for a normalized path, relative to the directory of the rule. It is empty, or ends in a slash, if
// the path is that of a directory.
func (r *rule) name(path string) string {
	if r.file != "" {
		return r.file
	}
	return path[len(r.Prefix):]
}

// hidden reports whether a part of a name begins with a dot. The directory for well-known URIs (RFC 8615) is meant to be
// served.
func hidden(name string) bool {
	for part := range strings.SplitSeq(name, "/") {
		if strings.HasPrefix(part, ".") && part != ".well-known" {
			return true
		}
	}
	return false
}
