package websocket

import (
	"encoding/binary"
	"unicode/utf8"
)

// Codes of close frames (RFC 6455 §7.4.1, and the registry of IANA). An application's own are 3000 to 4999.
const (
	CodeNormal         = 1000
	CodeGoingAway      = 1001 // the server stops, or the page was left
	CodeProtocolError  = 1002
	CodeUnsupported    = 1003
	CodeNone           = 1005 // the close frame had no code; never sent
	CodeAbnormal       = 1006 // there was no close frame; never sent
	CodeInvalidPayload = 1007
	CodePolicy         = 1008
	CodeTooLarge       = 1009
	CodeInternal       = 1011
	CodeRestart        = 1012 // the server restarts: connect again
	CodeTryLater       = 1013
)

// reasonMax is how many bytes the reason of a close frame may have.
const reasonMax = controlMax - 2

// ValidCode reports whether a close frame may have this code.
func ValidCode(code int) bool {
	switch {
	case code == 1004 || code == CodeNone || code == CodeAbnormal:
		return false
	case code >= 1000 && code <= 1014:
		return true
	}
	return code >= 3000 && code <= 4999
}

// parseClose reads the payload of a close frame. fault is 0, or the code that answers an invalid one.
func parseClose(b []byte) (code int, reason string, fault int) {
	switch {
	case len(b) == 0:
		return CodeNone, "", 0
	case len(b) == 1:
		return 0, "", CodeProtocolError
	}
	code = int(binary.BigEndian.Uint16(b))
	switch {
	case !ValidCode(code):
		return 0, "", CodeProtocolError
	case !utf8.Valid(b[2:]):
		return 0, "", CodeInvalidPayload
	}
	return code, string(b[2:]), 0
}

// appendClose appends a close frame. A code that may not be sent is left out.
func appendClose(b []byte, code int, reason string) []byte {
	if !ValidCode(code) {
		return appendHeader(b, bitFin|opClose, 0)
	}
	reason = shorten(reason)
	b = appendHeader(b, bitFin|opClose, 2+len(reason))
	return append(binary.BigEndian.AppendUint16(b, uint16(code)), reason...)
}

// shorten cuts a reason to what a close frame can have, between characters. An invalid one is dropped.
func shorten(reason string) string {
	if len(reason) > reasonMax {
		end := reasonMax
		for end > 0 && !utf8.RuneStart(reason[end]) {
			end--
		}
		reason = reason[:end]
	}
	if !utf8.ValidString(reason) {
		return ""
	}
	return reason
}
