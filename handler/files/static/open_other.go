//go:build !linux

package static

import "os"

// opened is an open directory.
type opened struct {
	info os.FileInfo
	*portableDir
}

func open(path string) (*opened, error) {
	fi, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	d, err := openPortable(path)
	if err != nil {
		return nil, err
	}
	return &opened{fi, d}, nil
}

// remote reports whether a file is on a file system that may wait for another machine. It is not known here.
func remote(int) bool { return false }
