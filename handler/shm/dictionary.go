package shm

import (
	"crypto/rand"
	"encoding/binary"
	"fmt"
	"os"
)

// Dictionary is the memory of a shared dictionary. The server makes it and passes it on, with what must not be read from it:
// any process that maps it may have overwritten it. Package worker has what is in it.
type Dictionary struct {
	File *os.File // maps Size bytes, and cannot change its size
	Size uint64
	Key  [2]uint64 // of the hash function
}

// Bounds of the size of a dictionary, in bytes.
const (
	DictionaryMin = 64 << 10
	DictionaryMax = 16 << 30
)

// DictionaryVersion is that of what is in the memory. A process that replaces another one cannot use another version.
const DictionaryVersion = 1

// CreateDictionary makes the memory of a dictionary. It is empty, and takes as much memory as is used of it.
func CreateDictionary(size uint64) (*Dictionary, error) {
	if size < DictionaryMin || size > DictionaryMax {
		return nil, fmt.Errorf("%d bytes: a dictionary has from %d to %d", size, DictionaryMin, uint64(DictionaryMax))
	}
	f, err := createFile("moonbridge-dictionary", size)
	if err != nil {
		return nil, fmt.Errorf("dictionary: %w", err)
	}
	d := &Dictionary{File: f, Size: size}
	var b [16]byte
	rand.Read(b[:]) // never fails
	d.Key[0], d.Key[1] = binary.NativeEndian.Uint64(b[:]), binary.NativeEndian.Uint64(b[8:])
	return d, nil
}
