package worker

import "moonbridge/httpparse"

// formNameMax bounds a name in an urlencoded form that is taken apart while it arrives, since names are collected whole.
const formNameMax = 16 << 10

var errFormName = &httpparse.Error{Status: 413, Reason: "name of a form field too long"}

// formStream takes an urlencoded form apart while it arrives, with the events of httpparse.Multipart and by the rules of
// httpparse.Form: from both come the same names and values. One that is not in use holds at most its two buffers.
type formStream struct {
	part  httpparse.Part
	state formState
	any   bool    // the item has a byte: it is not skipped
	held  [2]byte // the beginning of what may be a %-sequence
	nheld int
	name  []byte
	value [4 << 10]byte
}

type formState uint8

const (
	formName  formState = iota // in an item before its "=" → formValue, formEnd
	formValue                  // after it → formEnd
	formEnd                    // the item's "&" was seen, its end not yet told → formName
)

func (f *formStream) reset() {
	f.part = httpparse.Part{}
	f.state, f.any, f.nheld = formName, false, 0
	f.name = f.name[:0]
}

// Next takes n bytes of in. data and part.Name are valid until the next call. The end of the form is told by an "&".
func (f *formStream) Next(in []byte) (ev httpparse.MultipartEvent, data []byte, n int, err error) {
	switch f.state {
	case formName:
		return f.nextName(in)
	case formValue:
		return f.nextValue(in)
	}
	f.state, f.any, f.name = formName, false, f.name[:0]
	return httpparse.MultipartPartEnd, nil, 0, nil
}

// End says nothing: every sequence of bytes is a form.
func (f *formStream) End() error { return nil }

func (f *formStream) nextName(in []byte) (httpparse.MultipartEvent, []byte, int, error) {
	for n, c := range in {
		switch {
		case c == '&' && !f.any:
			continue // an empty item
		case c == '&' || c == '=':
			f.name = append(f.name, f.held[:f.nheld]...)
			f.nheld = 0
			f.part.Name = f.name
			f.state, f.any = formValue, true
			if c == '&' {
				f.state = formEnd
			}
			return httpparse.MultipartPart, nil, n + 1, nil
		case len(f.name) >= formNameMax:
			return httpparse.MultipartMore, nil, n, errFormName
		}
		f.any = true
		var b [3]byte
		f.name = append(f.name, b[:f.decode(&b, c)]...)
	}
	return httpparse.MultipartMore, nil, len(in), nil
}

func (f *formStream) nextValue(in []byte) (httpparse.MultipartEvent, []byte, int, error) {
	used, n := 0, 0
	for ; n < len(in) && f.state == formValue && used+3 <= len(f.value); n++ {
		if c := in[n]; c == '&' {
			used += copy(f.value[used:], f.held[:f.nheld])
			f.nheld = 0
			f.state = formEnd
		} else {
			used += f.decode((*[3]byte)(f.value[used:]), c)
		}
	}
	if used > 0 {
		return httpparse.MultipartData, f.value[:used], n, nil
	}
	if f.state == formEnd {
		ev, _, _, err := f.Next(nil)
		return ev, nil, n, err
	}
	return httpparse.MultipartMore, nil, n, nil
}

// decode takes one byte that is no delimiter, and puts what is certain now to dst.
func (f *formStream) decode(dst *[3]byte, c byte) int {
	if f.nheld == 1 && isHex(c) {
		f.held[1] = c
		f.nheld = 2
		return 0
	}
	if f.nheld == 2 && isHex(c) {
		dst[0] = unhex(f.held[1])<<4 | unhex(c)
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

func isHex(c byte) bool {
	return '0' <= c && c <= '9' || 'a' <= c && c <= 'f' || 'A' <= c && c <= 'F'
}

// unhex is the value of a hexadecimal digit.
func unhex(c byte) byte {
	switch {
	case c <= '9':
		return c - '0'
	case c <= 'F':
		return c - 'A' + 10
	}
	return c - 'a' + 10
}
