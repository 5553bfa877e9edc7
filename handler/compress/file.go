package compress

import (
	"moonbridge/handler/backend"
	"moonbridge/httpparse"
)

// fileExchange is an exchange whose connection sends ranges of files. They are not compressed: the heads of their responses
// say Accept-Ranges.
type fileExchange struct {
	*exchange
	files backend.FileSender
}

// fileRange is a range that waits until what is before it has been taken.
type fileRange struct {
	to     backend.FileSender
	f      backend.SentFile
	offset int64
	n      int64
}

// TakesFiles implements backend.FileChooser. A body that may be compressed must come as bytes.
func (e fileExchange) TakesFiles(rangeable bool) bool {
	return (rangeable || e.asked.coding == httpparse.Identity) && backend.TakesFiles(e.x, rangeable)
}

// OutputFile implements backend.FileSender.
func (e fileExchange) OutputFile(f backend.SentFile, offset, n int64, last bool) {
	switch {
	case e.state != statePass:
		f.Release()
		if e.state != stateOver && e.state != stateBroken {
			e.fail() // a file in a body that is compressed, or before a head
		}
	case len(e.unsent) > 0 || len(e.exchange.files) > 0:
		e.exchange.files = append(e.exchange.files, fileRange{e.files, f, offset, n})
	default:
		e.files.OutputFile(f, offset, n, last)
	}
}

// sendFiles sends the ranges that wait.
func (e *exchange) sendFiles() {
	files := e.files
	e.files = nil
	for i, r := range files {
		r.to.OutputFile(r.f, r.offset, r.n, i == len(files)-1 && e.ending())
	}
}

// dropFiles releases the ranges that wait.
func (e *exchange) dropFiles() {
	for _, r := range e.files {
		r.f.Release()
	}
	e.files = nil
}
