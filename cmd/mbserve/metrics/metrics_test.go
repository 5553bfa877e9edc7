package metrics

import (
	"bytes"
	"fmt"
	"math"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os/exec"
	"strings"
	"testing"
	"time"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"

	"moonbridge/handler/accesslog"
)

// A duration is above the bound of the bucket before its own, and not above that of its own.
func TestBucketOf(t *testing.T) {
	bound := func(i int) float64 { return math.Exp2(firstOctave + float64(i)/perOctave) }
	check := func(d time.Duration) {
		t.Helper()
		i := bucketOf(d)
		s := d.Seconds()
		if i > 0 && s <= bound(i-1) || i < buckets-1 && s > bound(i) || i < 0 || i >= buckets {
			t.Errorf("%v is in bucket %d, of (%g, %g]", d, i, bound(i-1), bound(i))
		}
	}
	for _, d := range []time.Duration{0, 1, 953, 954, time.Microsecond, time.Millisecond, 250 * time.Millisecond, 500 * time.Millisecond,
		time.Second, 2 * time.Second, time.Hour, 5000 * time.Second, math.MaxInt64} {
		check(d)
	}
	random := rand.New(rand.NewPCG(1, 2))
	for range 10000 {
		check(time.Duration(math.Exp2(random.Float64() * 43)))
	}
	if bucketOf(-1) != 0 {
		t.Error("a negative duration")
	}
}

// What a parser of Prometheus finds in the native buckets is what was observed.
func TestNativeBuckets(t *testing.T) {
	random := rand.New(rand.NewPCG(3, 4))
	for range 200 {
		var h Histogram
		want := make(map[int]uint64) // by index of the native bucket
		zero := uint64(0)
		for range random.IntN(20) {
			d := time.Duration(math.Exp2(random.Float64() * 42))
			h.Observe(d)
			if d.Seconds() <= math.Exp2(firstOctave) {
				zero++
			} else {
				want[int(math.Ceil(math.Log2(d.Seconds())*perOctave))]++
			}
		}
		var s Snapshot
		s.Add(&h)
		m := s.metric()
		if got := decode(t, m); fmt.Sprint(got) != fmt.Sprint(want) || m.GetZeroCount() != zero {
			t.Fatalf("got %v and %d, want %v and %d", got, m.GetZeroCount(), want, zero)
		}
		for _, b := range m.Bucket {
			below := zero
			for k, n := range want {
				if math.Exp2(float64(k)/perOctave) <= b.GetUpperBound() {
					below += n
				}
			}
			if b.GetCumulativeCount() != below {
				t.Fatalf("%d at or below %g, want %d", b.GetCumulativeCount(), b.GetUpperBound(), below)
			}
		}
	}
}

// decode reads native buckets as Prometheus does: spans with gaps between them, and differences between counts.
func decode(t *testing.T, m *dto.Histogram) map[int]uint64 {
	t.Helper()
	got, index, next, count := make(map[int]uint64), 0, 0, int64(0)
	for _, span := range m.PositiveSpan {
		index += int(span.GetOffset())
		for range span.GetLength() {
			count += m.PositiveDelta[next]
			got[index] += uint64(count)
			index++
			next++
		}
	}
	if next != len(m.PositiveDelta) {
		t.Fatalf("%d counts, %d buckets", len(m.PositiveDelta), next)
	}
	return got
}

func TestQuantile(t *testing.T) {
	var h Histogram
	var s Snapshot
	if s.Quantile(0.5) != 0 {
		t.Error("a quantile of nothing")
	}
	for i := range 1000 {
		h.Observe(time.Duration(i+1) * time.Millisecond)
	}
	s.Add(&h)
	for share, want := range map[float64]time.Duration{0.5: 500 * time.Millisecond, 0.99: 990 * time.Millisecond, 1: time.Second} {
		if got := s.Quantile(share); got < want || float64(got) > float64(want)*1.1 {
			t.Errorf("%v: %v, want %v", share, got, want)
		}
	}
	old := s
	h.Observe(time.Minute)
	s = Snapshot{}
	s.Add(&h)
	if d := s.Since(&old); d.Count() != 1 || d.Quantile(0.5) < time.Minute || d.sum != int64(time.Minute) {
		t.Errorf("%d, %v", d.Count(), d.Quantile(0.5))
	}
}

// record counts some exchanges and returns a registry with the figures.
func record() (*Registry, *Recorder) {
	r := NewRecorder(2)
	shop, other := r.Account("0"), r.Account("1")
	for i, e := range []accesslog.Entry{
		{Status: 200, Bytes: 10, Complete: true, Queue: time.Millisecond, Total: 3 * time.Millisecond, Account: shop},
		{Status: 204, Complete: true, Queue: -1, Total: time.Millisecond, Account: shop, Loop: 1},
		{Status: 404, Bytes: 5, Complete: true, Queue: 0, Total: time.Second, Account: shop},
		{Status: 499, Queue: -1, Total: time.Second, Account: shop},
		{Status: 0, Queue: -1, Account: shop},
		{Status: 503, Complete: true, Queue: -1, Account: other},
		{Status: 503, Complete: true, Queue: -1}, // of nobody
	} {
		if i == 0 {
			r.Account("0") // the same one
		}
		Record(&e)
	}
	registry := &Registry{}
	registry.Add(r.WriteTo)
	registry.Add(func(w *Writer) {
		w.Gauge("moonbridge_things", "Things that there are.", 2.5, "kind", "bad \xff \"quoted\"\n")
		w.Buckets("moonbridge_turn_duration_seconds", "Length of turns.", []uint64{1, 2, 4},
			func(i int) time.Duration { return time.Second << i }, 9*time.Second)
	})
	return registry, r
}

func ask(r *Registry, accept string) *httptest.ResponseRecorder {
	q, w := httptest.NewRequest(http.MethodGet, "/metrics", nil), httptest.NewRecorder()
	q.Header.Set("Accept", accept)
	r.ServeHTTP(w, q)
	return w
}

func TestText(t *testing.T) {
	registry, r := record()
	text := ask(registry, "").Body.String()
	for _, want := range []string{
		`moonbridge_requests_total{pool="0",status="2xx"} 2`,
		`moonbridge_requests_total{pool="0",status="4xx"} 1`,
		`moonbridge_requests_total{pool="0",status="none"} 2`,
		`moonbridge_requests_total{pool="1",status="5xx"} 1`,
		`moonbridge_response_body_bytes_total{pool="0"} 15`,
		`moonbridge_responses_incomplete_total{pool="0"} 2`,
		`moonbridge_request_duration_seconds_count{pool="0"} 5`,
		`moonbridge_request_duration_seconds_bucket{pool="0",le="0.00390625"} 3`,
		`moonbridge_queue_duration_seconds_count{pool="0"} 2`,
		`moonbridge_queue_duration_seconds_sum{pool="0"} 0.001`,
		`moonbridge_things{kind="bad ? \"quoted\"\n"} 2.5`,
		`moonbridge_turn_duration_seconds_bucket{le="2"} 3`,
		`moonbridge_turn_duration_seconds_bucket{le="+Inf"} 7`,
		`moonbridge_turn_duration_seconds_sum 9`,
	} {
		if !strings.Contains(text, want+"\n") {
			t.Errorf("no %s in\n%s", want, text)
		}
	}
	all := r.Totals()
	if all.Requests() != 6 || all.Errors() != 1 || all.Bytes != 15 || all.Incomplete != 2 || all.Duration.Count() != 6 {
		t.Errorf("totals %d, %d, %d", all.Requests(), all.Errors(), all.Bytes)
	}
}

func TestFormats(t *testing.T) {
	registry, _ := record()
	open := ask(registry, "application/openmetrics-text;version=1.0.0")
	if !strings.HasPrefix(open.Header().Get("Content-Type"), "application/openmetrics-text; version=1.0.0") ||
		!strings.HasSuffix(open.Body.String(), "\n# EOF\n") || !strings.Contains(open.Body.String(), "# TYPE moonbridge_requests counter\n") {
		t.Errorf("OpenMetrics: %v\n%s", open.Header(), open.Body)
	}
	binary := ask(registry, "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited")
	decoder := expfmt.NewDecoder(binary.Body, expfmt.Format(binary.Header().Get("Content-Type")))
	native := 0
	for {
		var f dto.MetricFamily
		if decoder.Decode(&f) != nil {
			break
		}
		for _, m := range f.Metric {
			if m.Histogram.GetSchema() == schema {
				native++
			}
		}
	}
	if native != 4 {
		t.Errorf("%d native histograms", native)
	}
}

// Prometheus's own checks of names, help and types.
func TestPromtool(t *testing.T) {
	promtool, err := exec.LookPath("promtool")
	if err != nil {
		t.Skip("promtool is not installed")
	}
	registry, _ := record()
	cmd := exec.Command(promtool, "check", "metrics")
	cmd.Stdin = bytes.NewReader(ask(registry, "").Body.Bytes())
	if out, err := cmd.CombinedOutput(); err != nil || len(out) > 0 {
		t.Errorf("%v\n%s", err, out)
	}
}

// Requests on raw connections are counted with the others. What workers say of them is believed as far as it can be true.
func TestRecordRaw(t *testing.T) {
	r := NewRecorder(1)
	a := r.Account("0")
	Record(&accesslog.Entry{Status: 200, Bytes: 1, Complete: true, Queue: 1, Account: a})
	a.RecordRaw(&accesslog.Entry{Status: 404, Bytes: 2, Complete: true}, 3)
	for range 3 {
		a.RecordRaw(&accesslog.Entry{Status: 200, Bytes: math.MaxInt64, Total: math.MaxInt64, Queue: -1}, 0)
	}
	all := r.Totals()
	if all.Responses != [classes]uint64{2: 4, 4: 1} || all.Incomplete != 3 || all.Bytes != 3*rawBytesMax+3 || all.Queue.Count() != 2 ||
		all.Duration.Count() != 5 || all.Duration.sum < 0 || all.Duration.sum > int64(time.Hour) || a.unreported.Load() != 3 {
		t.Errorf("%v, %d incomplete, %d bytes, %d and %d durations, %d unreported", all.Responses, all.Incomplete, all.Bytes, all.Queue.Count(), all.Duration.Count(), a.unreported.Load())
	}
}

func TestRecordAllocatesNothing(t *testing.T) {
	e := accesslog.Entry{Status: 200, Bytes: 10, Complete: true, Queue: 1, Total: 2, Account: NewRecorder(1).Account("0")}
	if n := testing.AllocsPerRun(100, func() { Record(&e) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkRecord(b *testing.B) {
	e := accesslog.Entry{Status: 200, Bytes: 10, Complete: true, Queue: 12345, Total: 54321, Account: NewRecorder(1).Account("0")}
	for b.Loop() {
		Record(&e)
	}
}

// What is cut within a character is the same label for all characters that begin there.
func TestLabel(t *testing.T) {
	if a, b := Label("ab\xc3"), Label("ab\xe2\x82"); a != "ab?" || a != b || Label("aä") != "aä" {
		t.Errorf("%q, %q", a, b)
	}
}
