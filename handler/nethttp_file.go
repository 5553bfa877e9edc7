package handler

import (
	"io"
	"net/http"
	"os"
)

// sniffed is how many bytes of a body its type is guessed from.
const sniffed = 512

// ReadFrom implements io.ReaderFrom. What comes from a file is sent by the system, without being copied here: that is how
// http.ServeContent and http.FileServer send files.
func (hw *httpWriter) ReadFrom(src io.Reader) (n int64, err error) {
	if hw.hijacked {
		return 0, http.ErrHijacked
	}
	hw.ensureHeader()
	if hw.w.sniff != nil && hw.w.written < sniffed && !hw.w.headOut {
		n, err = io.CopyN(onlyWriter{hw}, src, sniffed-hw.w.written)
		if err == io.EOF {
			return n, nil
		}
		if err != nil {
			return n, err
		}
	}
	sent, err := hw.sendFrom(src)
	if n += sent; err != nil {
		return n, httpError(err)
	}
	copied, err := io.Copy(onlyWriter{hw}, src)
	return n + copied, err
}

// onlyWriter hides ReadFrom.
type onlyWriter struct{ io.Writer }

// sendFrom sends what src has left, if it is a file or a part of one, and advances src. What it does not send is still in src.
func (hw *httpWriter) sendFrom(src io.Reader) (n int64, err error) {
	if src, is := src.(*io.LimitedReader); is {
		n, err = hw.sendLimited(src.R, max(src.N, 0)) // below 0, nothing is left of it either
		src.N -= n
		return n, err
	}
	return hw.sendLimited(src, -1)
}

// sendLimited is sendFrom for at most limit bytes; -1: any number.
func (hw *httpWriter) sendLimited(src io.Reader, limit int64) (int64, error) {
	switch src := src.(type) {
	case openFile: // this is how package net recognizes files
		return hw.sendRest(src, src, 0, limit)
	case *io.SectionReader:
		at, base, size := src.Outer()
		if f, is := at.(*os.File); is {
			return hw.sendSection(f, src, base, size, limit)
		}
	}
	return 0, nil
}

// sendSection sends the rest of a section of f, which begins at base and has size bytes.
func (hw *httpWriter) sendSection(f *os.File, section io.Seeker, base, size, limit int64) (int64, error) {
	at, err := section.Seek(0, io.SeekCurrent)
	if err != nil {
		return 0, nil
	}
	rest := max(0, size-at)
	if limit < 0 || limit > rest {
		limit = rest
	}
	return hw.sendRest(f, section, base, limit)
}

// sendRest sends what f has left from the position of at, which counts from base, at most limit bytes.
func (hw *httpWriter) sendRest(f openFile, at io.Seeker, base, limit int64) (int64, error) {
	info, err := f.Stat()
	if err != nil || !info.Mode().IsRegular() {
		return 0, nil // it is copied
	}
	position, err := at.Seek(0, io.SeekCurrent)
	if err != nil {
		return 0, nil
	}
	n := info.Size() - base - position
	if limit >= 0 {
		n = min(n, limit)
	}
	if !hw.w.takesRange(n, hw.w.fields) {
		return 0, nil
	}
	sent, err := newSentFile(f)
	if err != nil {
		return 0, nil
	}
	if err := hw.w.appendRange(sent, base+position, n); err != nil {
		return 0, err
	}
	_, err = at.Seek(n, io.SeekCurrent)
	return n, err
}
