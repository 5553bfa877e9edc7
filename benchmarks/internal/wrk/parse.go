package wrk

import (
	"bufio"
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

// Result is wrk's report of one run with --latency.
type Result struct {
	Requests   int           // complete responses
	Duration   time.Duration // as measured by wrk
	PerSecond  float64       // responses per second
	Bytes      float64       // per second, with those of responses that were not complete at the end
	P50, P99   time.Duration // latency as seen by the clients
	Max        time.Duration
	Errors     SocketErrors
	BadStatus  int // responses with a status other than 2xx and 3xx
	percentile bool
}

// SocketErrors counts connections that broke, by the operation that failed, and requests that took longer than two
// seconds.
type SocketErrors struct {
	Connect, Read, Write, Timeout int
}

// Total returns the number of errors of all kinds.
func (e SocketErrors) Total() int { return e.Connect + e.Read + e.Write + e.Timeout }

// Add returns the sum of both.
func (e SocketErrors) Add(other SocketErrors) SocketErrors {
	return SocketErrors{e.Connect + other.Connect, e.Read + other.Read, e.Write + other.Write, e.Timeout + other.Timeout}
}

// Parse parses wrk's report. It fails if a number that the comparison needs is missing or malformed: a report in an
// unknown format must not pass for a measurement.
func Parse(report string) (Result, error) {
	var r Result
	var seenRequests, seenRate bool
	lines := bufio.NewScanner(strings.NewReader(report))
	for lines.Scan() {
		line := strings.TrimSpace(lines.Text())
		var err error
		switch {
		case strings.Contains(line, " requests in "):
			seenRequests = true
			err = r.parseRequests(line)
		case strings.HasPrefix(line, "Requests/sec:"):
			seenRate = true
			r.PerSecond, err = strconv.ParseFloat(strings.TrimSpace(strings.TrimPrefix(line, "Requests/sec:")), 64)
		case strings.HasPrefix(line, "Transfer/sec:"):
			r.Bytes, err = parseBytes(strings.TrimSpace(strings.TrimPrefix(line, "Transfer/sec:")))
		case strings.HasPrefix(line, "Socket errors:"):
			err = r.parseErrors(line)
		case strings.HasPrefix(line, "Non-2xx or 3xx responses:"):
			r.BadStatus, err = strconv.Atoi(strings.TrimSpace(strings.TrimPrefix(line, "Non-2xx or 3xx responses:")))
		case strings.HasPrefix(line, "Latency Distribution"):
			// A heading, which starts like the line of the thread statistics.
		case strings.HasPrefix(line, "Latency "):
			err = r.parseThreadLatency(line)
		case strings.HasPrefix(line, "50%"):
			r.P50, err = parsePercentile(line)
		case strings.HasPrefix(line, "99%"):
			r.percentile = true
			r.P99, err = parsePercentile(line)
		}
		if err != nil {
			return Result{}, fmt.Errorf("wrk report, line %q: %w", line, err)
		}
	}
	switch {
	case !seenRequests || !seenRate:
		return Result{}, errors.New("wrk report: no number of requests")
	case !r.percentile && r.Requests > 0:
		return Result{}, errors.New("wrk report: no latency distribution (--latency)")
	}
	return r, nil
}

// parseRequests parses "613513 requests in 5.10s, 87.76MB read".
func (r *Result) parseRequests(line string) error {
	count, rest, _ := strings.Cut(line, " requests in ")
	length, _, _ := strings.Cut(rest, ",")
	var err error
	if r.Requests, err = strconv.Atoi(count); err != nil {
		return err
	}
	r.Duration, err = parseTime(length)
	return err
}

// parseBytes parses "17.21MB", whose units are powers of 1024.
func parseBytes(text string) (float64, error) {
	number := strings.TrimRight(text, "BKMGTP")
	n, err := strconv.ParseFloat(number, 64)
	unit := text[len(number):]
	power := strings.Index("BKMGTP", strings.TrimSuffix(unit, "B"))
	if unit == "" || power < 0 {
		return 0, fmt.Errorf("unit %q", unit)
	}
	return n * math.Pow(1024, float64(power)), err
}

// parseErrors parses "Socket errors: connect 0, read 3, write 0, timeout 1".
func (r *Result) parseErrors(line string) error {
	e := &r.Errors
	n, err := fmt.Sscanf(line, "Socket errors: connect %d, read %d, write %d, timeout %d",
		&e.Connect, &e.Read, &e.Write, &e.Timeout)
	if err == nil && n != 4 {
		err = errors.New("a counter is missing")
	}
	return err
}

// parseThreadLatency parses the maximum in "Latency 515.38us 230.53us 9.04ms 77.68%": mean, standard deviation,
// maximum, and the share within one standard deviation.
func (r *Result) parseThreadLatency(line string) error {
	fields := strings.Fields(line)
	if len(fields) != 5 {
		return errors.New("not four columns")
	}
	var err error
	r.Max, err = parseTime(fields[3])
	return err
}

// parsePercentile parses "99% 1.24ms".
func parsePercentile(line string) (time.Duration, error) {
	_, value, _ := strings.Cut(line, "%")
	return parseTime(strings.TrimSpace(value))
}

// wrk writes times with two decimals and one of these units.
var units = []struct {
	suffix string
	unit   time.Duration
}{
	{"us", time.Microsecond},
	{"ms", time.Millisecond},
	{"s", time.Second},
	{"m", time.Minute},
	{"h", time.Hour},
}

func parseTime(text string) (time.Duration, error) {
	for _, u := range units {
		number, found := strings.CutSuffix(text, u.suffix)
		if !found {
			continue
		}
		value, err := strconv.ParseFloat(number, 64)
		if err != nil {
			return 0, err
		}
		if value < 0 {
			return 0, fmt.Errorf("negative time %q", text)
		}
		return time.Duration(math.Round(value * float64(u.unit))), nil
	}
	return 0, fmt.Errorf("unknown unit in %q", text)
}
