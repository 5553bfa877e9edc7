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
