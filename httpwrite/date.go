package httpwrite

import "time"

// DateLen is the length in bytes of an IMF-fixdate (RFC 9110 §5.6.7), such as "Sun, 06 Nov 1994 08:49:37 GMT".
const DateLen = 29

const (
	dayNames   = "SunMonTueWedThuFriSat"
	monthNames = "JanFebMarAprMayJunJulAugSepOctNovDec"
)

// AppendDate appends a time, in seconds since 1970, as an IMF-fixdate (RFC 9110 §5.6.7), the format of Date and other
// fields. The format has no room for years beyond 9999; their last four digits are used.
func AppendDate(dst []byte, unix int64) []byte {
	t := time.Unix(unix, 0).UTC()
	year, month, day := t.Date()
	hour, minute, second := t.Clock()
	d, m := 3*int(t.Weekday()), 3*int(month-1)
	dst = append(dst, dayNames[d:d+3]...)
	dst = append(dst, ", "...)
	dst = appendTwo(dst, day)
	dst = append(dst, ' ')
	dst = append(dst, monthNames[m:m+3]...)
	dst = append(dst, ' ')
	dst = appendTwo(dst, year/100%100)
	dst = appendTwo(dst, year%100)
	dst = append(dst, ' ')
	dst = appendTwo(dst, hour)
	dst = append(dst, ':')
	dst = appendTwo(dst, minute)
	dst = append(dst, ':')
	dst = appendTwo(dst, second)
	return append(dst, " GMT"...)
}

func appendTwo(dst []byte, n int) []byte {
	return append(dst, byte('0'+n/10), byte('0'+n%10))
}

// Date is the value of the Date field, formatted once a second. It is not safe for concurrent use; a loop has its own.
// The zero value is ready for use.
type Date struct {
	until int64 // on the monotonic clock: the first nanosecond of the next second
	text  [DateLen]byte
	set   bool
}

// wallClock returns the time of day. Tests replace it.
var wallClock = time.Now

// At returns the date at the time mono, in nanoseconds on a monotonic clock (Loop.Now). It reads the wall clock only
// when mono reaches the next second, so a step of the wall clock shows within a second. The result is a view of d and
// is valid until the next call.
func (d *Date) At(mono int64) []byte {
	if !d.set || mono >= d.until {
		now := wallClock()
		AppendDate(d.text[:0], now.Unix())
		d.until = mono + int64(time.Second) - int64(now.Nanosecond())
		d.set = true
	}
	return d.text[:]
}
