package compress

import "moonbridge/httpparse"

// headLimits bounds a response head. One beyond it is passed on as it is.
var headLimits = httpparse.Limits{HeadBytes: 512 << 10}

// takeHead is Output before the end of the final head. Interim responses are passed on as they are.
func (e *exchange) takeHead(a, b []byte, last bool) (taken int) {
	if len(e.unsent) > 0 {
		return 0
	}
	for {
		kept := len(e.head)
		text := a
		if kept > 0 || len(b) > 0 {
			e.head = append(append(e.head, a...), b...)
			text = e.head
		}
		h := &e.l.head
		n, err := e.parser.ParseResponse(h, text, &headLimits)
		switch {
		case err != nil:
			return taken + e.passHead(text[:kept], a, b, last)
		case n == 0 && len(e.head) == 0:
			e.head = append(e.head, a...)
			return taken + len(a)
		case n == 0:
			return taken + len(a) + len(b)
		}
		taken += n - kept
		a, b = from(a, b, n-kept)
		e.head = nil
		if !h.Interim() {
			return taken + e.takeFinal(h, text[:n], a, b, last)
		}
		e.send(text[:n], nil, false)
		if len(a)+len(b) == 0 {
			return taken
		}
	}
}

// takeFinal decides what happens to the response with the head h, whose bytes are head. a and b are what follows. It returns
// how much of a and b it has taken.
func (e *exchange) takeFinal(h *httpparse.ResponseHead, head, a, b []byte, last bool) int {
	verdict := e.l.b.rules.judge(h, &e.asked)
	if verdict == encode && !e.asked.isHead {
		if n, ok := e.begin(h, a, b, last); ok {
			return n
		}
		verdict = vary
	}
	l := e.l
	switch verdict {
	case encode:
		l.text = append(appendEncoded(l.text[:0], h, e.asked.coding, false), "\r\n"...)
	case weaken:
		l.text = appendWeakened(l.text[:0], h)
	case vary:
		l.text = appendVarying(l.text[:0], h)
	default:
		return e.passHead(head, a, b, last)
	}
	return e.passHead(l.text, a, b, last)
}

// passHead sends a head and what follows it. From now on all is passed on.
func (e *exchange) passHead(head, a, b []byte, last bool) int {
	e.state, e.head = statePass, nil
	if len(b) > 0 || len(e.unsent) > 0 {
		e.send(head, nil, last && len(a)+len(b) == 0)
		return e.pass(a, b, last)
	}
	n := e.x.Output(head, a, last)
	if n < len(head) {
		e.unsent = append(e.unsent, head[n:]...)
		return 0
	}
	return n - len(head)
}

// from returns what of a and b comes after n bytes.
func from(a, b []byte, n int) (restA, restB []byte) {
	if n < len(a) {
		return a[n:], b
	}
	return b[n-len(a):], nil
}
