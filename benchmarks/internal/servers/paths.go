package servers

import (
	"path/filepath"
	"strings"
)

// Relative rewrites a command as results show it: paths are relative to the repository, so that a result does not depend on
// where the source tree was, and tells nothing about the machine's folders. The temporary folder becomes TMP.
func (s *Settings) Relative(command string) string {
	words := strings.Split(command, " ")
	for i, word := range words {
		name, path, found := strings.Cut(word, "=") // -flag=path
		if !found || !filepath.IsAbs(path) {
			name, path = "", word
		}
		if filepath.IsAbs(path) {
			path = s.relativePath(path)
		}
		if name != "" {
			path = name + "=" + path
		}
		words[i] = path
	}
	return strings.Join(words, " ")
}

// systemFolders have the same programs on every machine.
var systemFolders = []string{"/bin/", "/dev/", "/etc/", "/proc/", "/sbin/", "/sys/", "/usr/"}

func (s *Settings) relativePath(path string) string {
	path = filepath.Clean(path)
	if s.Temp != "" {
		if rest, inside := within(s.Temp, path); inside {
			return filepath.Join("TMP", rest)
		}
	}
	if rest, inside := within(filepath.Dir(s.Benchmarks), path); inside {
		return rest
	}
	for _, folder := range systemFolders {
		if strings.HasPrefix(path, folder) {
			return path
		}
	}
	return filepath.Base(path)
}

// within returns the path relative to a folder that it is in.
func within(folder, path string) (rest string, inside bool) {
	if path == folder {
		return ".", true
	}
	rest, inside = strings.CutPrefix(path, folder+"/")
	return rest, inside
}
