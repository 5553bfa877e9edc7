package form

import "moonbridge/httpparse"

// NameBytesMax bounds a name in an urlencoded form, decoded, since names are collected whole.
const NameBytesMax = 16 << 10

var errName = &httpparse.Error{Status: 413, Reason: "name of a form field too long"}

// urlencoded takes an urlencoded form apart while it arrives, with the events of httpparse.Multipart and by the rules of
// httpparse.Form: both find the same names and values. When it is not in use it holds its two buffers at most.
type urlencoded struct {
	part  httpparse.Part
	state state
	any   bool    // the item has a byte: it is not skipped
	held  [2]byte // the first bytes of what may be a %-sequence
	nheld int
	name  []byte
	value [4 << 10]byte
}

type state uint8

const (
	inName  state = iota // in an item before its "=" → inValue, atEnd
	inValue              // after the "=" → atEnd
	atEnd                // the item's "&" was read, its end not reported yet → inName
)

func (f *urlencoded) reset() {
	f.part = httpparse.Part{}
	f.state, f.any, f.nheld = inName, false, 0
	f.name = f.name[:0]
}

// Next takes n bytes of in. data and part.Name are valid until the next call. The caller ends the form with an "&".
func (f *urlencoded) Next(in []byte) (ev httpparse.MultipartEvent, data []byte, n int, err error) {
	switch f.state {
	case inName:
		return f.nextName(in)
	case inValue:
		return f.nextValue(in)
	}
	f.state, f.any, f.name = inName, false, f.name[:0]
	return httpparse.MultipartPartEnd, nil, 0, nil
}

// End has nothing to report: every sequence of bytes is a form.
func (f *urlencoded) End() error { return nil }

func (f *urlencoded) nextName(in []byte) (httpparse.MultipartEvent, []byte, int, error) {
	for n, c := range in {
		switch {
		case c == '&' && !f.any:
			continue // an empty item
		case c == '&' || c == '=':
			f.name = append(f.name, f.held[:f.nheld]...)
			f.nheld = 0
			if len(f.name) > NameBytesMax {
				return httpparse.MultipartMore, nil, n, errName
			}
			f.part.Name = f.name
			f.state, f.any = inValue, true
			if c == '&' {
				f.state = atEnd
			}
			return httpparse.MultipartPart, nil, n + 1, nil
		case len(f.name) >= NameBytesMax:
			return httpparse.MultipartMore, nil, n, errName
		}
		f.any = true
		var b [3]byte
		f.name = append(f.name, b[:f.decode(&b, c)]...)
	}
	return httpparse.MultipartMore, nil, len(in), nil
}

func (f *urlencoded) nextValue(in []byte) (httpparse.MultipartEvent, []byte, int, error) {
	used, n := 0, 0
	for ; n < len(in) && f.state == inValue && used+3 <= len(f.value); n++ {
		if c := in[n]; c == '&' {
			used += copy(f.value[used:], f.held[:f.nheld])
			f.nheld = 0
			f.state = atEnd
		} else {
			used += f.decode((*[3]byte)(f.value[used:]), c)
		}
	}
	if used > 0 {
		return httpparse.MultipartData, f.value[:used], n, nil
	}
	if f.state == atEnd {
		ev, _, _, err := f.Next(nil)
		return ev, nil, n, err
	}
	return httpparse.MultipartMore, nil, n, nil
}

// decode takes one byte that is not a delimiter. It writes what is certain by now to dst, and returns its length.
func (f *urlencoded) decode(dst *[3]byte, c byte) int {
	if f.nheld > 0 && httpparse.HexValue(c) >= 0 {
		if f.nheld == 1 {
			f.held[1] = c
			f.nheld = 2
			return 0
		}
		dst[0] = byte(httpparse.HexValue(f.held[1])<<4 | httpparse.HexValue(c))
		f.nheld = 0
		return 1
	}
	n := copy(dst[:], f.held[:f.nheld]) // it was no %-sequence
	f.nheld = 0
	switch c {
	case '%':
		f.held[0] = c
		f.nheld = 1
		return n
	case '+':
		c = ' '
	}
	dst[n] = c
	return n + 1
}
