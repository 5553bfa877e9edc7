package form

import "moonbridge/httpparse"

// Parser takes one form body apart. The zero value is ready for Begin, which may be called again for another body.
type Parser struct {
	multipart  httpparse.Multipart
	urlencoded urlencoded
	events     events
	part       *httpparse.Part // that of events
	waiting    bool            // the part is not recorded yet, because there was no room
	rest       []byte          // data that is not recorded yet, for the same reason
}

// events is *httpparse.Multipart or *urlencoded.
type events interface {
	Next(in []byte) (ev httpparse.MultipartEvent, data []byte, n int, err error)
	End() error
}

var (
	errBoundary = &httpparse.Error{Status: 400, Reason: "multipart body without a boundary in its Content-Type"}
	errPartHead = &httpparse.Error{Status: 431, Reason: "names of a part too long"}
)

// Begin starts with a body: a multipart one of this Content-Type, which is not kept, or an urlencoded one. Its errors, like
// those of all methods, are *httpparse.Error.
func (p *Parser) Begin(multipart bool, contentType []byte) error {
	p.waiting, p.rest = false, nil
	if !multipart {
		p.urlencoded.reset()
		p.events, p.part = &p.urlencoded, &p.urlencoded.part
		return nil
	}
	boundary, ok := httpparse.MultipartBoundary(contentType)
	if !ok {
		return errBoundary
	}
	p.events, p.part = &p.multipart, &p.multipart.Part
	return p.multipart.Reset(boundary)
}

// Parse takes bytes of the body and records what is in them. It stops early when out is full: then taken is less than
// len(in), or more is true, and Parse has to be called again. What was recorded before an error is valid.
func (p *Parser) Parse(in []byte, out *Records) (taken int, more bool, err error) {
	for {
		if p.waiting {
			if !out.part(p.part) {
				if out.used == 0 {
					return taken, false, errPartHead
				}
				return taken, true, nil
			}
			p.waiting = false
		}
		// There is always room for a place in the piece. So data that is left for another call lies in memory of the parser.
		if p.rest = out.data(in, p.rest); len(p.rest) > 0 || out.room() < recordReserve {
			return taken, true, nil
		}
		ev, data, n, err := p.events.Next(in[taken:])
		if err != nil {
			return taken, false, err
		}
		switch ev {
		case httpparse.MultipartPart:
			p.waiting = true
		case httpparse.MultipartData:
			p.rest = data
		case httpparse.MultipartPartEnd:
			out.put(RecordEnd, 0, 0, 0)
		case httpparse.MultipartMore:
			if taken+n >= len(in) {
				return taken + n, false, nil
			}
		}
		taken += n
		if ev == httpparse.MultipartDone && taken >= len(in) {
			return taken, false, nil
		}
	}
}

// End is Parse for the end of the body.
func (p *Parser) End(out *Records) (more bool, err error) {
	if p.events == &p.urlencoded {
		_, more, err = p.Parse([]byte{'&'}, out)
		return more, err
	}
	return false, p.events.End()
}
