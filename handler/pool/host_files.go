package pool

import (
	"bytes"
	"fmt"
	"strconv"
)

// File is one of the files that make up the script, as it was before it was loaded. All numbers are 0 if it did not exist.
type File struct {
	Path    string // absolute
	ModTime int64  // ns since 1970
	Size    int64  // bytes
	Inode   uint64
}

// loaded passes on a list of files, as handler/shm/layout.h describes it.
func (h *Host) loaded(body []byte) error {
	files, err := decodeFiles(body)
	if err == nil && h.cfg.Files != nil {
		h.cfg.Files(files)
	}
	return err
}

func decodeFiles(body []byte) (files []File, err error) {
	for len(body) > 0 {
		line, rest, whole := bytes.Cut(body, []byte{0})
		parts := bytes.SplitN(line, []byte(" "), 4)
		if !whole || len(parts) != 4 || len(parts[3]) == 0 || parts[3][0] != '/' {
			return nil, fmt.Errorf("%w: list of files", errMessage)
		}
		f := File{Path: string(parts[3])}
		var errs [3]error
		f.ModTime, errs[0] = strconv.ParseInt(string(parts[0]), 10, 64)
		f.Size, errs[1] = strconv.ParseInt(string(parts[1]), 10, 64)
		f.Inode, errs[2] = strconv.ParseUint(string(parts[2]), 10, 64)
		for _, e := range errs {
			if e != nil {
				return nil, fmt.Errorf("%w: list of files: %w", errMessage, e)
			}
		}
		files = append(files, f)
		body = rest
	}
	return files, nil
}
