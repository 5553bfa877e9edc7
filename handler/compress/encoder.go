package compress

import (
	"io"

	"github.com/andybalholm/brotli"
	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"

	"moonbridge/httpparse"
)

// encoder is what the libraries have in common.
type encoder interface {
	Reset(io.Writer)
	Write([]byte) (int, error)
	Flush() error
	Close() error
}

// kind is what an encoder is made for.
type kind struct {
	coding httpparse.Coding
	level  int
}

// What decoders need, and encoders take, grows with the window. These are far below the limits that clients have (8 MiB for
// zstd, RFC 9659), and larger than most pages.
const (
	brotliWindowBits = 18
	zstdWindow       = 256 << 10
)

// brotliQuality is the quality for each level. Above 6 the time grows much faster than the gain.
var brotliQuality = [LevelMax + 1]int{1: 1, 2: 2, 3: 3, 4: 3, 5: 4, 6: 5, 7: 6, 8: 7, 9: 9}

// zstdLevel is the library's level for each level. Its best one would take 34 MiB per encoder.
var zstdLevel = [LevelMax + 1]zstd.EncoderLevel{
	1: zstd.SpeedFastest, 2: zstd.SpeedFastest, 3: zstd.SpeedFastest,
	4: zstd.SpeedDefault, 5: zstd.SpeedDefault, 6: zstd.SpeedDefault,
	7: zstd.SpeedBetterCompression, 8: zstd.SpeedBetterCompression, 9: zstd.SpeedBetterCompression,
}

func newEncoder(k kind) encoder {
	switch k.coding {
	case httpparse.Zstd:
		e, err := zstd.NewWriter(nil, zstd.WithEncoderLevel(zstdLevel[k.level]), zstd.WithEncoderConcurrency(1),
			zstd.WithLowerEncoderMem(true), zstd.WithEncoderCRC(false), zstd.WithWindowSize(zstdWindow))
		if err != nil {
			panic(err) // an option is out of its range
		}
		return e
	case httpparse.Brotli:
		return brotli.NewWriterOptions(nil, brotli.WriterOptions{Quality: brotliQuality[k.level], LGWin: brotliWindowBits})
	}
	e, err := gzip.NewWriterLevel(nil, k.level)
	if err != nil {
		panic(err)
	}
	return e
}

// loopBytes is how much of a coding is encoded on the loop at once: about 0.1 ms of work (docs/internals/decisions.md).
func loopBytes(c httpparse.Coding) int {
	if c == httpparse.Brotli {
		return 2 << 10
	}
	return 8 << 10
}
