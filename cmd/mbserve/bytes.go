package main

import (
	"errors"
	"strconv"
	"strings"
)

// byteCount is the value of an option that is a number of bytes: 4294967296, or 4G, where k, M, G and T are powers of 1024.
type byteCount int64

const byteUnits = "kMGT"

var errBytes = errors.New("not a number of bytes")

func (n *byteCount) Set(text string) error {
	shift := 0
	if last := len(text) - 1; last >= 0 {
		if i := strings.IndexByte(byteUnits, text[last]); i >= 0 {
			text, shift = text[:last], 10*(i+1)
		}
	}
	v, err := strconv.ParseInt(text, 10, 64)
	if err != nil || v < 0 || v > 1<<62>>shift {
		return errBytes
	}
	*n = byteCount(v << shift)
	return nil
}

// String returns the shortest text that Set reads.
func (n *byteCount) String() string {
	v, unit := int64(*n), ""
	for i := 0; i < len(byteUnits) && v != 0 && v%1024 == 0; i++ {
		v, unit = v/1024, byteUnits[i:i+1]
	}
	return strconv.FormatInt(v, 10) + unit
}

func (n *byteCount) Type() string { return "BYTES" }
