package httpparse

import "math"

// These bounds apply to the bytes of a chunked body that are not data. Without them a peer could make us read forever
// while the body does not grow towards its size limit. Every chunk but the last has at least one byte of data and at
// most 20 bytes around it, plus extensions and leading zeros of the size. These are not used in practice, so they are kept
// short too: those of one chunk by chunkExtBytesMax, all of them together by chunkExtBytesFree plus the number of data
// bytes so far. The first chunkExtBytesEach of a chunk do not count among these: some programs write all sizes with eight digits, even
// those of bodies whose chunks are tiny.
const (
	chunkExtBytesMax  = 1024
	chunkExtBytesFree = 16 << 10
	chunkExtBytesEach = 16
	// trailerBytesMax bounds the trailer section. Trailers in use are checksums and states, so there is no reason to accept a
	// large section.
	trailerBytesMax = 8 << 10
)

type chunkState uint8

const (
	chunkSize     chunkState = iota // before the first digit of a size
	chunkSizeMore                   // after a digit
	extSemicolon                    // in whitespace before the semicolon of an extension
	extNameStart                    // before the name of an extension
	extName                         // in the name
	extEquals                       // in whitespace after the name
	extValueStart                   // before the value
	extValue                        // in a value that is a token
	extQuoted                       // in a value that is a quoted string
	extEscaped                      // after a backslash in it
	extQuotedEnd                    // after the closing quote
	chunkSizeLF                     // at the LF of a size line
	chunkData                       // in data, left > 0
	chunkDataCR                     // at the CR after data
	chunkDataLF                     // at the LF after data
	trailerStart                    // at the start of a trailer line
	trailerName                     // in the name of a trailer field
	trailerValue                    // in its value
	trailerLF                       // at the LF of a trailer line
	trailerEndLF                    // at the LF of the empty line
	chunkDone                       // after the body: takes no more bytes
	chunkFailed                     // after an error, which every further call returns
)

// Chunked decodes a chunked body (RFC 9112 §7.1), piece by piece as it arrives. The zero value is ready for use; Reset
// prepares it for another body. Extensions and trailer fields are checked, bounded and dropped; TrailerLen
// tells which of the bytes were the trailer section. Chunked never allocates.
type Chunked struct {
	left    int64 // remaining data bytes of this chunk; while the size is being read, the size so far
	total   int64 // data bytes so far
	ext     int64 // bytes of extensions so far, without the first ones of each chunk
	lineExt int16 // bytes of extensions of this chunk
	trailer int16 // bytes of the trailer section
	state   chunkState
	err     *Error
}

// Reset prepares d for another body.
func (d *Chunked) Reset() { *d = Chunked{} }

// Total returns the number of data bytes returned so far.
func (d *Chunked) Total() int64 { return d.total }

// InData reports whether the next byte is data of a chunk.
func (d *Chunked) InData() bool { return d.state == chunkData }

// Next takes n bytes of buf. data, if not empty, is the next part of the body, a view of buf that ends at n. done means
// that these n bytes complete the body, including its trailer section; data is then empty. If there is no data, done is
// false and there is no error, Next took all of buf. Call it again with the rest of buf and the bytes that follow.
//
// An error is an *Error and is final.
func (d *Chunked) Next(buf []byte) (data []byte, n int, done bool, err error) {
	return d.next(buf, math.MaxInt)
}

// Decode takes bytes of src and writes the data in them to a and, when a is full, to b. It stops when the body ends or
// when there is data but no room, whichever comes first; otherwise it takes all of src. An error is an *Error and is
// final.
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

// next is Next with a limit on the length of data. With a limit of 0 it stops before data.
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
		trailer := d.trailer
		if e := d.step(buf[n]); e != nil {
			d.state, d.err, d.trailer = chunkFailed, e, trailer // the byte is not consumed
			break
		}
		n++
	}
	if d.state == chunkFailed {
		return nil, n, false, d.err
	}
	return nil, n, d.state == chunkDone, nil
}

// step processes one byte that is not data.
func (d *Chunked) step(c byte) *Error {
	switch d.state {
	case chunkSize, chunkSizeMore:
		return d.stepSize(c)
	case chunkSizeLF:
		if c != '\n' {
			return errLineEnd
		}
		d.lineExt = 0
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
	case trailerStart, trailerName, trailerValue, trailerLF, trailerEndLF:
		return d.stepTrailer(c)
	default:
		return d.stepExt(c)
	}
	return nil
}

func (d *Chunked) stepSize(c byte) *Error {
	if v := HexValue(c); v >= 0 {
		return d.addDigit(v)
	}
	if d.state == chunkSize {
		return errChunkSize
	}
	switch c {
	case '\r':
		d.state = chunkSizeLF
		return nil
	case ';', ' ', '\t':
		d.state = extSemicolon
		return d.stepExt(c)
	case '\n':
		return errLineEnd
	}
	return errChunkSize
}

// addDigit adds a digit of the size. Leading zeros are bounded like extensions.
func (d *Chunked) addDigit(v int) *Error {
	d.state = chunkSizeMore
	if d.left == 0 && v == 0 {
		return d.countExt()
	}
	if d.left > math.MaxInt64>>4 {
		return errChunkSizeLarge
	}
	d.left = d.left<<4 | int64(v)
	return nil
}

// countExt counts a byte of a size line that says nothing.
func (d *Chunked) countExt() *Error {
	if d.lineExt++; d.lineExt > chunkExtBytesEach {
		d.ext++
	}
	if d.lineExt > chunkExtBytesMax || d.ext > chunkExtBytesFree+d.total {
		return errChunkExtLong
	}
	return nil
}

// stepExt checks the grammar of extensions (RFC 9112 §7.1.1): a name, and perhaps a value, which is a token or a quoted
// string. Whitespace around the separators is dropped (RFC 9110 §5.6.3).
func (d *Chunked) stepExt(c byte) *Error {
	if next := d.extNext(c); next != chunkFailed {
		d.state = next
		if next == chunkSizeLF {
			return nil
		}
		return d.countExt()
	}
	if c == '\n' {
		return errLineEnd
	}
	return errChunkExt
}

// extNext returns the state after a byte of an extension, or chunkFailed if the byte is invalid.
func (d *Chunked) extNext(c byte) chunkState {
	token := class[c]&classToken != 0
	switch s := d.state; {
	case s == extQuoted:
		return quotedNext(c)
	case s == extEscaped:
		if c == '\t' || c >= ' ' && c != 0x7f {
			return extQuoted
		}
	case token && (s == extNameStart || s == extName):
		return extName
	case token && (s == extValueStart || s == extValue):
		return extValue
	case c == '"' && s == extValueStart:
		return extQuoted
	case c == ' ' || c == '\t':
		return blankNext(s)
	case c == ';' && s != extNameStart && s != extValueStart:
		return extNameStart
	case c == '=' && (s == extName || s == extEquals):
		return extValueStart
	case c == '\r' && (s == extName || s == extValue || s == extQuotedEnd):
		return chunkSizeLF
	}
	return chunkFailed
}

// quotedNext returns the state after a byte of a quoted string (RFC 9110 §5.6.4).
func quotedNext(c byte) chunkState {
	switch {
	case c == '"':
		return extQuotedEnd
	case c == '\\':
		return extEscaped
	case c == '\t' || c >= ' ' && c != 0x7f:
		return extQuoted
	}
	return chunkFailed
}

// blankNext returns the state after whitespace.
func blankNext(s chunkState) chunkState {
	switch s {
	case extName:
		return extEquals
	case extValue, extQuotedEnd:
		return extSemicolon
	}
	return s
}

// stepTrailer checks the trailer section (RFC 9112 §7.1.2) by the rules of parseFields.
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

// HexValue returns the value of a hexadecimal digit, or -1.
func HexValue(c byte) int {
	switch {
	case '0' <= c && c <= '9':
		return int(c - '0')
	case 'a' <= c|0x20 && c|0x20 <= 'f':
		return int(c|0x20-'a') + 10
	}
	return -1
}
