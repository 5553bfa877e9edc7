package httpparse

import "time"

// ParseDate reads an HTTP-date in each of the three formats that a recipient has to accept (RFC 9110 §5.6.7), and returns it in
// seconds since 1970. now is the current time; a date with a year of two digits is never more than 50 years after it. The
// name of the weekday is not compared with the date.
func ParseDate(b []byte, now int64) (unix int64, ok bool) {
	d := dateScan{rest: b, ok: true}
	switch {
	case len(b) == len("Sun, 06 Nov 1994 08:49:37 GMT") && b[3] == ',':
		d.name(dayNames, 3)
		d.text(", ")
		d.day = d.digits(2)
		d.text(" ")
		d.month = d.name(monthNames, 3)
		d.text(" ")
		d.year = d.digits(4)
		d.text(" ")
		d.clock()
		d.text(" GMT")
	case len(b) == len("Sun Nov  6 08:49:37 1994") && b[3] == ' ':
		d.name(dayNames, 3)
		d.text(" ")
		d.month = d.name(monthNames, 3)
		d.text(" ")
		d.day = d.spacedDay()
		d.text(" ")
		d.clock()
		d.text(" ")
		d.year = d.digits(4)
	default:
		d.rfc850(now)
	}
	return d.unix()
}

const (
	dayNames   = "SunMonTueWedThuFriSat"
	monthNames = "JanFebMarAprMayJunJulAugSepOctNovDec"
)

// longDays are the names of rfc850-date, without the three letters that dayNames has.
var longDays = [7]string{"day", "day", "sday", "nesday", "rsday", "day", "urday"}

// dateScan reads a date from left to right. After a mismatch ok is false, and the rest does not matter.
type dateScan struct {
	rest                 []byte
	ok                   bool
	year, month, day     int // month counts from 0
	hour, minute, second int
}

func (d *dateScan) text(s string) {
	if !d.ok || len(d.rest) < len(s) || string(d.rest[:len(s)]) != s {
		d.ok = false
		return
	}
	d.rest = d.rest[len(s):]
}

func (d *dateScan) digits(n int) (v int) {
	if !d.ok || len(d.rest) < n {
		d.ok = false
		return 0
	}
	for _, c := range d.rest[:n] {
		if c < '0' || c > '9' {
			d.ok = false
			return 0
		}
		v = 10*v + int(c-'0')
	}
	d.rest = d.rest[n:]
	return v
}

// name reads one of names, each of n letters, and returns its index. The case matters.
func (d *dateScan) name(names string, n int) int {
	if d.ok && len(d.rest) >= n {
		for i := 0; i < len(names); i += n {
			if string(d.rest[:n]) == names[i:i+n] {
				d.rest = d.rest[n:]
				return i / n
			}
		}
	}
	d.ok = false
	return 0
}

// spacedDay reads a day of two characters, the first of which may be a space.
func (d *dateScan) spacedDay() int {
	if d.ok && len(d.rest) > 0 && d.rest[0] == ' ' {
		d.rest = d.rest[1:]
		return d.digits(1)
	}
	return d.digits(2)
}

func (d *dateScan) clock() {
	d.hour = d.digits(2)
	d.text(":")
	d.minute = d.digits(2)
	d.text(":")
	d.second = d.digits(2)
}

// rfc850 reads "Sunday, 06-Nov-94 08:49:37 GMT".
func (d *dateScan) rfc850(now int64) {
	d.text(longDays[d.name(dayNames, 3)])
	d.text(", ")
	d.day = d.digits(2)
	d.text("-")
	d.month = d.name(monthNames, 3)
	d.text("-")
	d.year = d.digits(2)
	d.text(" ")
	d.clock()
	d.text(" GMT")
	if !d.ok {
		return
	}
	// Of the years with these two digits, the last one that is at most 50 years ahead.
	current := time.Unix(now, 0).UTC()
	latest := current.AddDate(50, 0, 0).Unix()
	d.year += current.Year() - current.Year()%100 + 100
	for range 2 {
		if t, ok := d.value(); ok && t <= latest {
			break
		}
		d.year -= 100
	}
}

// value is the date in seconds since 1970, if there is such a date.
func (d *dateScan) value() (unix int64, ok bool) {
	if !d.ok || d.hour > 23 || d.minute > 59 || d.second > 60 || d.day < 1 {
		return 0, false
	}
	t := time.Date(d.year, time.Month(d.month+1), d.day, 0, 0, 0, 0, time.UTC)
	if t.Day() != d.day {
		return 0, false // the month has fewer days
	}
	return t.Unix() + int64(3600*d.hour+60*d.minute+d.second), true
}

func (d *dateScan) unix() (int64, bool) {
	if len(d.rest) > 0 {
		return 0, false
	}
	return d.value()
}
