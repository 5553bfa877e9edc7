package httpparse

import "math"

// Bounds of what a chunked body may consist of besides data. They keep a peer from having us read for ever without the
// body growing towards its size limit: every chunk but the last has at least one byte of data, and what surrounds it is
// at most chunkDigitsMax+4 bytes, plus extensions. Nobody uses extensions, so these are kept short as well: those of
// one chunk by chunkExtBytesMax, all together by chunkExtBytesFree plus the number of data bytes so far.
const (
	chunkDigitsMax    = 16
	chunkExtBytesMax  = 1024
	chunkExtBytesFree = 16 << 10
	// trailerBytesMax bounds the trailer section. It is thrown away, so there is no reason to take much of it.
	trailerBytesMax = 8 << 10
)

type chunkState uint8

const (
	chunkSize     chunkState = iota // before the first digit of a size
	chunkSizeMore                   // after a digit
	chunkExt                        // in extensions
	chunkSizeLF                     // at the LF of a size line
	chunkData                       // in data, left > 0
	chunkDataCR                     // at the CR after data
	chunkDataLF                     // at the LF after data
	trailerStart                    // at the begin of a trailer line
	trailerName                     // in the name of a trailer field
	trailerValue                    // in its value
	trailerLF                       // at the LF of a trailer line
	trailerEndLF                    // at the LF of the empty line
	chunkDone                       // after the body: nothing is taken any more
	chunkFailed                     // after an error: it is returned again
)

// Chunked decodes a chunked body (RFC 9112 §7.1), piece by piece as it arrives. The zero value is ready; Reset makes it
// ready again. Extensions and trailer fields are checked, bounded and dropped. It never allocates.
type Chunked struct {
	left    int64 // data bytes of this chunk that are still to come; while a size is read, the size
	total   int64 // data bytes so far
	ext     int64 // bytes of extensions so far
	lineExt int16 // bytes of extensions of this chunk
	trailer int16 // bytes of the trailer section
	digits  uint8
	state   chunkState
	err     *Error
}

// Reset makes d ready for another body.
func (d *Chunked) Reset() { *d = Chunked{} }

// Total is the number of data bytes returned so far.
func (d *Chunked) Total() int64 { return d.total }

// Next takes n bytes of buf. data, if not empty, are the next bytes of the body, a view of buf that ends at n. done says
// that these n bytes complete the body, its trailer section included; it comes without data. If there is neither data
// nor done nor an error, then all of buf was taken. Call it again with what is left of buf and what follows.
//
// An error is an *Error, and final.
func (d *Chunked) Next(buf []byte) (data []byte, n int, done bool, err error) {
	return d.next(buf, math.MaxInt)
}

// Decode takes bytes of src and writes the data among them to a, and when that is full, to b. It stops when the body
// ends or when there is data and no room, whichever comes first; otherwise it takes all of src.
func (d *Chunked) Decode(a, b, src []byte) (written, consumed int, done bool, err error) {
	for {
		room := len(a) + len(b)
		data, n, done, err := d.next(src[consumed:], room)
		consumed += n
		if len(data) == 0 {
			return written, consumed, done, err
		}
		written += len(data)
		k := copy(a, data)
		a = a[k:]
		b = b[copy(b, data[k:]):]
	}
}

// next is Next with a bound on the length of data; if it is 0, next stops before data.
func (d *Chunked) next(buf []byte, room int) (data []byte, n int, done bool, err error) {
	for n < len(buf) && d.state < chunkDone {
		if d.state == chunkData {
			k := int(min(d.left, int64(len(buf)-n), int64(room)))
			d.left -= int64(k)
			d.total += int64(k)
			if d.left == 0 {
				d.state = chunkDataCR
			}
			return buf[n : n+k], n + k, false, nil
		}
		if e := d.step(buf[n]); e != nil {
			d.state, d.err = chunkFailed, e
			break
		}
		n++
	}
	if d.state == chunkFailed {
		return nil, n, false, d.err
	}
	return nil, n, d.state == chunkDone, nil
}

// step takes one byte that is not data.
func (d *Chunked) step(c byte) *Error {
	switch d.state {
	case chunkSize, chunkSizeMore:
		return d.stepSize(c)
	case chunkExt:
		return d.stepExt(c)
	case chunkSizeLF:
		if c != '\n' {
			return errLineEnd
		}
		d.lineExt, d.digits = 0, 0
		d.state = chunkData
		if d.left == 0 {
			d.state = trailerStart
		}
	case chunkDataCR:
		if c != '\r' {
			return errChunkEnd
		}
		d.state = chunkDataLF
	case chunkDataLF:
		if c != '\n' {
			return errChunkEnd
		}
		d.state = chunkSize
	default:
		return d.stepTrailer(c)
	}
	return nil
}

func (d *Chunked) stepSize(c byte) *Error {
	if v := hexValue(c); v >= 0 {
		if d.left > math.MaxInt64>>4 {
			return errChunkSizeLarge
		}
		if d.digits++; d.digits > chunkDigitsMax {
			return errChunkSize
		}
		d.left = d.left<<4 | int64(v)
		d.state = chunkSizeMore
		return nil
	}
	if d.state == chunkSize {
		return errChunkSize
	}
	switch c {
	case '\r':
		d.state = chunkSizeLF
		return nil
	case ';':
		d.state = chunkExt
		return d.stepExt(c)
	case '\n':
		return errLineEnd
	}
	// Also whitespace before an extension, which RFC 9112 §7.1.1 would have us ignore: nobody sends it, and others differ
	// about it.
	return errChunkSize
}

// stepExt is lenient about the grammar of extensions (RFC 9112 §7.1.1), but not about where their line ends: a bare LF
// in them is a line end for some.
func (d *Chunked) stepExt(c byte) *Error {
	switch {
	case c == '\r':
		d.state = chunkSizeLF
		return nil
	case c < ' ' && c != '\t' || c == 0x7f:
		return errChunkExt
	}
	d.lineExt++
	d.ext++
	if d.lineExt > chunkExtBytesMax || d.ext > chunkExtBytesFree+d.total {
		return errChunkExtLong
	}
	return nil
}

// stepTrailer checks the trailer section (RFC 9112 §7.1.2) as parseFields checks a field section.
func (d *Chunked) stepTrailer(c byte) *Error {
	if d.trailer++; d.trailer > trailerBytesMax {
		return errTrailerLarge
	}
	next := d.state
	switch d.state {
	case trailerStart:
		switch {
		case c == '\r':
			next = trailerEndLF
		case class[c]&classToken != 0:
			next = trailerName
		default:
			return errTrailer
		}
	case trailerName:
		switch {
		case c == ':':
			next = trailerValue
		case class[c]&classToken == 0:
			return errTrailer
		}
	case trailerValue:
		switch {
		case c == '\r':
			next = trailerLF
		case c < ' ' && c != '\t' || c == 0x7f:
			return errTrailer
		}
	case trailerLF, trailerEndLF:
		if c != '\n' {
			return errLineEnd
		}
		next = trailerStart
		if d.state == trailerEndLF {
			next = chunkDone
		}
	}
	d.state = next
	return nil
}

// hexValue is the value of a hexadecimal digit, or -1.
func hexValue(c byte) int {
	switch {
	case '0' <= c && c <= '9':
		return int(c - '0')
	case 'a' <= c|0x20 && c|0x20 <= 'f':
		return int(c|0x20-'a') + 10
	}
	return -1
}
