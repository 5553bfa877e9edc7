package main

import (
	"encoding/hex"
	"net/netip"
	"strconv"
	"time"
	"unicode"
	"unicode/utf8"

	"moonbridge/engine"
)

// accessFormat is the format of a line of the access log.
type accessFormat string

const (
	accessCombined accessFormat = "combined" // the usual format of web servers, followed by id and times
	accessJSON     accessFormat = "json"     // one object per line
)

// append appends the line for a. Bytes of the peer can neither end the line nor escape from their quotes.
func (f accessFormat) append(dst []byte, a *engine.Access, c *accessClock) []byte {
	if f == accessJSON {
		return appendJSONLine(dst, a)
	}
	return appendCombined(dst, a, c)
}

// accessClock formats times. It keeps the text of the last second: formatting one took a third of the time of a line.
type accessClock struct {
	zone   *time.Location
	second int64 // of text
	text   []byte
}

func (c *accessClock) append(dst []byte, t time.Time) []byte {
	if second := t.Unix(); second != c.second || len(c.text) == 0 {
		c.second = second
		c.text = t.In(c.zone).AppendFormat(c.text[:0], "02/Jan/2006:15:04:05 -0700")
	}
	return append(dst, c.text...)
}

// appendVersion appends the version of HTTP. That of HTTP/2 has a zero in all logs, though the protocol has no minor version.
func appendVersion(dst []byte, a *engine.Access) []byte {
	if a.HTTP2 {
		return append(dst, "HTTP/2.0"...)
	}
	return strconv.AppendInt(append(dst, "HTTP/1."...), int64(a.Minor), 10)
}

func appendCombined(dst []byte, a *engine.Access, c *accessClock) []byte {
	dst = appendPeer(dst, a.Peer)
	dst = append(dst, " - - ["...)
	dst = c.append(dst, a.Time)
	dst = append(dst, `] "`...)
	if len(a.Method) == 0 {
		dst = append(dst, '-')
	} else {
		dst = appendEscaped(dst, a.Method)
		dst = append(dst, ' ')
		dst = appendEscaped(dst, a.Target)
		dst = appendVersion(append(dst, ' '), a)
	}
	dst = append(dst, `" `...)
	dst = appendStatus(dst, a.Status)
	dst = append(dst, ' ')
	dst = strconv.AppendInt(dst, a.Bytes, 10)
	dst = append(dst, ` "`...)
	dst = appendEscaped(dst, orDash(a.Referer))
	dst = append(dst, `" "`...)
	dst = appendEscaped(dst, orDash(a.UserAgent))
	dst = append(dst, `" `...)
	dst = append(dst, orDash(a.ID)...)
	for _, d := range [...]time.Duration{a.Queue, a.Service, a.Total} {
		dst = append(dst, ' ')
		if d < 0 {
			dst = append(dst, '-')
		} else {
			dst = appendSeconds(dst, d)
		}
	}
	if a.Cache != "" {
		dst = append(dst, ' ')
		dst = append(dst, a.Cache...)
	}
	if a.Trace != nil {
		dst = hex.AppendEncode(append(dst, ' '), a.Trace.ID[:])
	}
	return append(dst, '\n')
}

func orDash(p []byte) []byte {
	if len(p) == 0 {
		return dash
	}
	return p
}

var dash = []byte("-")

// appendPeer appends the address without the port.
func appendPeer(dst []byte, peer netip.AddrPort) []byte {
	if !peer.IsValid() {
		return append(dst, '-')
	}
	return peer.Addr().Unmap().WithZone("").AppendTo(dst)
}

// appendStatus appends three digits, or 000 if there was no response.
func appendStatus(dst []byte, status int) []byte {
	if status == 0 {
		return append(dst, "000"...)
	}
	return strconv.AppendInt(dst, int64(status), 10)
}

// appendSeconds appends d in seconds, with six decimal places.
func appendSeconds(dst []byte, d time.Duration) []byte {
	us := d.Microseconds()
	dst = strconv.AppendInt(dst, us/1e6, 10)
	dst = append(dst, '.')
	for digit := int64(1e5); digit > 0; digit /= 10 {
		dst = append(dst, byte('0'+us/digit%10))
	}
	return dst
}

const hexDigits = "0123456789abcdef"

// appendEscaped appends printable ASCII unchanged, and all other bytes, quotation marks and backslashes as \xNN.
func appendEscaped(dst, p []byte) []byte {
	done := 0
	for i, b := range p {
		if b < ' ' || b > '~' || b == '"' || b == '\\' {
			dst = append(dst, p[done:i]...)
			dst = append(dst, '\\', 'x', hexDigits[b>>4], hexDigits[b&15])
			done = i + 1
		}
	}
	return append(dst, p[done:]...)
}

func appendJSONLine(dst []byte, a *engine.Access) []byte {
	dst = append(dst, `{"time":"`...)
	dst = a.Time.UTC().AppendFormat(dst, "2006-01-02T15:04:05.000000Z07:00")
	dst = append(dst, `","client":"`...)
	dst = appendPeer(dst, a.Peer)
	dst = append(dst, `","port":`...)
	dst = strconv.AppendUint(dst, uint64(a.Peer.Port()), 10)
	dst = appendText(dst, "method", a.Method)
	dst = appendText(dst, "target", a.Target)
	dst = append(dst, `,"protocol":"`...)
	if len(a.Method) > 0 {
		dst = appendVersion(dst, a)
	}
	dst = append(dst, `","status":`...)
	dst = strconv.AppendInt(dst, int64(a.Status), 10)
	dst = append(dst, `,"bytes":`...)
	dst = strconv.AppendInt(dst, a.Bytes, 10)
	dst = append(dst, `,"complete":`...)
	dst = strconv.AppendBool(dst, a.Complete)
	dst = appendText(dst, "referer", a.Referer)
	dst = appendText(dst, "user_agent", a.UserAgent)
	dst = appendText(dst, "request_id", a.ID)
	if a.Trace != nil {
		dst = hex.AppendEncode(append(dst, `,"trace_id":"`...), a.Trace.ID[:])
		dst = hex.AppendEncode(append(dst, `","span_id":"`...), a.Trace.Span[:])
		dst = append(dst, '"')
	}
	dst = appendTime(dst, "queue", a.Queue)
	dst = appendTime(dst, "service", a.Service)
	dst = appendTime(dst, "total", a.Total)
	if a.Cache != "" {
		dst = appendText(dst, "cache", []byte(a.Cache))
	}
	return append(dst, "}\n"...)
}

// appendTime appends a member in seconds, or null if d is not known.
func appendTime(dst []byte, key string, d time.Duration) []byte {
	dst = append(dst, `,"`...)
	dst = append(dst, key...)
	dst = append(dst, `":`...)
	if d < 0 {
		return append(dst, "null"...)
	}
	return appendSeconds(dst, d)
}

// appendText appends a member that is a string (RFC 8259 §7). Unprintable characters are escaped; bytes that are not
// UTF-8 become the text \xNN.
func appendText(dst []byte, key string, p []byte) []byte {
	dst = append(dst, `,"`...)
	dst = append(dst, key...)
	dst = append(dst, `":"`...)
	for len(p) > 0 {
		r, n := utf8.DecodeRune(p)
		switch {
		case r == '"' || r == '\\':
			dst = append(dst, '\\', byte(r))
		case r == utf8.RuneError && n == 1:
			dst = append(dst, '\\', '\\', 'x', hexDigits[p[0]>>4], hexDigits[p[0]&15])
		case unicode.IsPrint(r):
			dst = append(dst, p[:n]...)
		case r < 0x10000:
			dst = append(dst, '\\', 'u', hexDigits[r>>12], hexDigits[r>>8&15], hexDigits[r>>4&15], hexDigits[r&15])
		default: // rare: no need to preserve it
			dst = utf8.AppendRune(dst, utf8.RuneError)
		}
		p = p[n:]
	}
	return append(dst, '"')
}
