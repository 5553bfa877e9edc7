package wrk

import (
	"strings"
	"testing"
	"time"
)

const plainReport = `Running 5s test @ http://127.0.0.1:8080/
  2 threads and 64 connections
  Thread Stats   Avg      Stdev     Max   +/- Stdev
    Latency   515.38us  230.53us   9.04ms   77.68%
    Req/Sec    60.45k     3.31k   66.63k    71.57%
  Latency Distribution
     50%  480.00us
     75%  605.00us
     90%  790.00us
     99%    2.01ms
  613513 requests in 5.10s, 87.76MB read
Requests/sec: 120300.71
Transfer/sec:     17.21MB
`

const troubledReport = `Running 1m test @ http://127.0.0.1:8080/
  2 threads and 1024 connections
  Thread Stats   Avg      Stdev     Max   +/- Stdev
    Latency     1.02s   403.22ms   1.98s    58.00%
    Req/Sec   102.00     30.00   200.00     70.00%
  Latency Distribution
     50%    1.01s 
     75%    1.37s 
     90%    1.57s 
     99%    1.92s 
  5000 requests in 1.00m, 1.20MB read
  Socket errors: connect 1, read 20, write 300, timeout 4000
  Non-2xx or 3xx responses: 17
Requests/sec:     83.33
Transfer/sec:     20.48KB
`

const emptyReport = `Running 1s test @ http://127.0.0.1:8080/
  1 threads and 1 connections
  Thread Stats   Avg      Stdev     Max   +/- Stdev
    Latency     0.00us    0.00us   0.00us    -nan%
    Req/Sec     0.00      0.00     0.00      -nan%
  0 requests in 1.01s, 0.00B read
Requests/sec:      0.00
Transfer/sec:       0.00B
`

func TestParse(t *testing.T) {
	tests := []struct {
		name, in string
		want     Result
	}{
		{"plain", plainReport, Result{
			Requests: 613513, Duration: 5100 * time.Millisecond, PerSecond: 120300.71, Bytes: 17.21 * (1 << 20),
			P50: 480 * time.Microsecond, P99: 2010 * time.Microsecond, Max: 9040 * time.Microsecond, percentile: true,
		}},
		{"errors, statuses, minutes", troubledReport, Result{
			Requests: 5000, Duration: time.Minute, PerSecond: 83.33, Bytes: 20.48 * (1 << 10),
			P50: 1010 * time.Millisecond, P99: 1920 * time.Millisecond, Max: 1980 * time.Millisecond, percentile: true,
			Errors: SocketErrors{Connect: 1, Read: 20, Write: 300, Timeout: 4000}, BadStatus: 17,
		}},
		{"nothing answered", emptyReport, Result{Duration: 1010 * time.Millisecond}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			got, err := Parse(test.in)
			if err != nil {
				t.Fatal(err)
			}
			if got != test.want {
				t.Errorf("got  %+v\nwant %+v", got, test.want)
			}
		})
	}
	if got := (SocketErrors{1, 20, 300, 4000}).Total(); got != 4321 {
		t.Errorf("Total() = %d, want 4321", got)
	}
	if got := (SocketErrors{1, 20, 300, 4000}).Add(SocketErrors{1, 1, 1, 1}); got != (SocketErrors{2, 21, 301, 4001}) {
		t.Errorf("sum: %+v", got)
	}
}

func TestParseRefuses(t *testing.T) {
	without := func(line string) string {
		var kept []string
		for l := range strings.Lines(plainReport) {
			if !strings.Contains(l, line) {
				kept = append(kept, l)
			}
		}
		return strings.Join(kept, "")
	}
	tests := []struct{ name, in string }{
		{"empty", ""},
		{"connection refused", "unable to connect to 127.0.0.1:1 Connection refused\n"},
		{"no count", without("requests in")},
		{"no rate", without("Requests/sec")},
		{"no distribution", without("99%")},
		{"unknown unit", strings.Replace(plainReport, "2.01ms", "2.01fortnights", 1)},
		{"no number", strings.Replace(plainReport, "480.00us", "us", 1)},
		{"negative time", strings.Replace(plainReport, "480.00us", "-480.00us", 1)},
		{"errors cut short", plainReport + "  Socket errors: connect 1, read 2\n"},
		{"unknown unit of bytes", strings.Replace(plainReport, "17.21MB", "17.21furlongs", 1)},
		{"statistics in another form", strings.Replace(plainReport, "77.68%", "", 1)},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if got, err := Parse(test.in); err == nil {
				t.Errorf("taken as %+v", got)
			}
		})
	}
}
