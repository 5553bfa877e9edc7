package backend

// FileSender is implemented by an Exchange that sends ranges of files. Those of the engine all do, and a backend that wraps
// another one should pass it on: workers cannot send files to an Exchange without it.
type FileSender interface {
	// OutputFile appends n bytes of f, from offset on, to the response, after all output so far. n is greater than 0. last is
	// that of Exchange.Output.
	//
	// The exchange always takes the range, and Done may be called at once. It calls f.Release exactly once for each call of
	// OutputFile, on the loop, when it needs f no more: perhaps within the call, perhaps long after the exchange has ended.
	// The bytes are read when they are sent. If the file has become shorter by then, the connection is reset. It is also
	// reset if it would hold more than FileRangesMax ranges.
	//
	// Calls of Output and OutputFile may alternate. A response to HEAD has no call of OutputFile.
	OutputFile(f SentFile, offset, n int64, last bool)
}

// MountedFile is implemented by a SentFile that may be on a file system that waits for another machine, or for another program. What
// has no such method is taken to be local.
type MountedFile interface {
	SentFile
	// Mount is 0 for a local file. Otherwise it stands for the file system (package mounts), the file is not read on the loop, and
	// Release does not wait for the file system.
	Mount() uint64
}

// MountOf returns the Mount of f, or 0.
func MountOf(f SentFile) uint64 {
	if m, ok := f.(MountedFile); ok {
		return m.Mount()
	}
	return 0
}

// FileJoiner is implemented by a FileSender that can send bytes and a range of a file together, which saves a packet.
type FileJoiner interface {
	FileSender
	// OutputJoined is Output(a, nil, false) and, if that takes all of a, OutputFile(f, offset, n, last). Otherwise the caller still
	// has the file, and goes on when there is room.
	OutputJoined(a []byte, f SentFile, offset, n int64, last bool) (taken int)
}

// FileRangesMax is the number of ranges of files that a connection holds for one response.
const FileRangesMax = 64

// SentFile is an open regular file, counted by its owner.
type SentFile interface {
	// Fd is the descriptor, valid until Release. Its file position is neither used nor changed.
	Fd() int
	// Release says that the caller needs the file no more.
	Release()
}

// FileChooser is implemented by a FileSender that does not take ranges of files in every response, because it changes some of them.
type FileChooser interface {
	FileSender
	// TakesFiles reports whether a response to the request may have ranges of files. rangeable: its head has Content-Range, or
	// Accept-Ranges with a value other than none. It is called on the loop.
	TakesFiles(rangeable bool) bool
}

// TakesFiles reports whether the exchange takes ranges of files in a response. rangeable is that of FileChooser.
func TakesFiles(x Exchange, rangeable bool) bool {
	if c, ok := x.(FileChooser); ok {
		return c.TakesFiles(rangeable)
	}
	_, ok := x.(FileSender)
	return ok
}
