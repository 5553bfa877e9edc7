package listen

import (
	"errors"
	"fmt"
	"math"
	"strconv"
	"time"

	"moonbridge/handler/shm"
)

// value is a Lua value as a listen{} call gave it.
type value struct {
	typ  uint32 // shm.Type*
	text string
}

// typeName is the Lua type, for messages.
func (v value) typeName() string {
	switch v.typ {
	case shm.TypeBool:
		return "boolean"
	case shm.TypeNumber:
		return "number"
	case shm.TypeString:
		return "string"
	case shm.TypeFunc:
		return "function"
	case shm.TypeHTTP:
		return "HTTP handler"
	}
	return fmt.Sprintf("%.32q", v.text)
}

func (v value) is(t uint32) bool { return v.typ == t }

// no is Lua's false.
func (v value) no() bool { return v.typ == shm.TypeBool && v.text == "0" }

func (v value) wrong(want string) error { return fmt.Errorf("%s expected, got %s", want, v.typeName()) }

func (v value) boolean() (bool, error) {
	if v.typ != shm.TypeBool {
		return false, v.wrong("boolean")
	}
	return v.text == "1", nil
}

func (v value) str() (string, error) {
	if v.typ != shm.TypeString {
		return "", v.wrong("string")
	}
	return v.text, nil
}

func (v value) number() (float64, error) {
	if v.typ != shm.TypeNumber {
		return 0, v.wrong("number")
	}
	return parseNumber(v.text)
}

// parseNumber reads a number as C's %.17g prints it. Infinity and NaN are none.
func parseNumber(text string) (float64, error) {
	f, err := strconv.ParseFloat(text, 64)
	if err != nil || math.IsInf(f, 0) || math.IsNaN(f) {
		return 0, fmt.Errorf("%.32q is not a finite number", text)
	}
	return f, nil
}

// integer is a whole number in a range.
func (v value) integer(lowest, highest int) (int, error) {
	f, err := v.number()
	switch {
	case err != nil:
		return 0, err
	case f != math.Trunc(f):
		return 0, fmt.Errorf("%v is not an integer", f)
	case f < float64(lowest) || f > float64(highest):
		return 0, fmt.Errorf("%v is not in the range from %d to %d", f, lowest, highest)
	}
	return int(f), nil
}

// secondsMax is ten years: a longer time is a mistake, and would overflow somewhere.
const secondsMax = 10 * 366 * 24 * 3600

// duration is a time in seconds; false is 0.
func (v value) duration() (time.Duration, error) {
	if v.no() {
		return 0, nil
	}
	if v.typ != shm.TypeNumber {
		return 0, v.wrong("number (of seconds) or false")
	}
	f, err := parseNumber(v.text)
	if err != nil {
		return 0, err
	}
	return seconds(f)
}

func seconds(f float64) (time.Duration, error) {
	switch {
	case f < 0:
		return 0, errors.New("must not be negative")
	case f > secondsMax:
		return 0, fmt.Errorf("%v seconds are more than ten years", f)
	}
	d := time.Duration(f * float64(time.Second))
	if d == 0 && f > 0 {
		d = 1 // 0 would mean no limit
	}
	return d, nil
}
