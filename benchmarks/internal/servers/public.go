package servers

import (
	"bytes"
	"compress/gzip"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"time"
)

const (
	publicName = "files"    // folder of the static files, in the folder of a server; also the first segment of their path
	fileName   = "text.txt" // file of a workload with static files
	hugeName   = "huge.bin" // sparse file for slow readers
)

// HugeBytes is the size of the file at HugePath, which only the workload SlowFiles has.
const HugeBytes = 200 << 20

// Paths of static files.
const (
	FilePath = "/" + publicName + "/" + fileName
	HugePath = "/" + publicName + "/" + hugeName
)

// publicTime is the time of the last change of all static files, so that all servers send the same Last-Modified.
var publicTime = time.Date(2026, time.January, 2, 3, 4, 5, 0, time.UTC)

// writePublic writes the static files of the workload into the folder of a server.
func (w Workload) writePublic(dir string) error {
	if w.fileBytes == 0 {
		return nil
	}
	public := filepath.Join(dir, publicName)
	if err := os.Mkdir(public, 0o755); err != nil {
		return err
	}
	text := prose(w.fileBytes)
	if err := writePublicFile(filepath.Join(public, fileName), text, int64(len(text))); err != nil {
		return err
	}
	switch {
	case w.hugeFile:
		return writePublicFile(filepath.Join(public, hugeName), nil, HugeBytes)
	case w.coding == "":
		return nil
	}
	packed, err := packed(text)
	return errors.Join(err, writePublicFile(filepath.Join(public, fileName+".gz"), packed, int64(len(packed))))
}

// writePublicFile writes a file. What is missing in content is a hole.
func writePublicFile(path string, content []byte, size int64) error {
	err := os.WriteFile(path, content, 0o644)
	return errors.Join(err, os.Truncate(path, size), os.Chtimes(path, publicTime, publicTime))
}

// packed compresses a text as one does once for many requests.
func packed(text []byte) ([]byte, error) {
	var out bytes.Buffer
	to, err := gzip.NewWriterLevel(&out, gzip.BestCompression)
	if err != nil {
		return nil, err
	}
	_, err = to.Write(text)
	err = errors.Join(err, to.Close())
	return out.Bytes(), err
}

var words = strings.Fields(`the a of and to in is it was that for on with as at by this from they have not be which one
	server client request answer worker page file bridge moon light water river stone mountain evening morning window
	garden letter number question reason moment people country house street machine paper picture language history
	small large early late bright quiet heavy simple certain different between through under above never always often`)

// prose returns a text of n bytes, always the same. It repeats words but no sentences, so it is compressed about as well as
// other texts.
func prose(n int) []byte {
	text := make([]byte, 0, n+16)
	for seed, column := uint64(1), 0; len(text) < n; {
		seed = seed * 16807 % 2147483647
		word := words[seed/7%uint64(len(words))]
		text = append(text, word...)
		if column += len(word) + 1; column < 80 {
			text = append(text, ' ')
		} else {
			text, column = append(text, '\n'), 0
		}
	}
	text = text[:n]
	text[n-1] = '\n'
	return text
}
