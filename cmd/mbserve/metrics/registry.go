package metrics

import (
	"bytes"
	"io"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
)

// Registry has everything that writes figures.
type Registry struct {
	mu      sync.Mutex
	sources []func(*Writer)
}

// Add adds a source. It is called each time that figures are asked for, by one goroutine at a time, and must not wait for long.
func (r *Registry) Add(source func(*Writer)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.sources = append(r.sources, source)
}

// gather asks all sources. Families are sorted by name.
func (r *Registry) gather() []*dto.MetricFamily {
	r.mu.Lock()
	defer r.mu.Unlock()
	w := &Writer{families: make(map[string]*dto.MetricFamily)}
	for _, source := range r.sources {
		source(w)
	}
	return slices.SortedFunc(maps.Values(w.families), func(a, b *dto.MetricFamily) int { return strings.Compare(a.GetName(), b.GetName()) })
}

// ServeHTTP answers in the format that the client prefers: text, OpenMetrics, or protocol buffers, which alone have native histograms.
func (r *Registry) ServeHTTP(w http.ResponseWriter, q *http.Request) {
	format := expfmt.NegotiateAccept(q.Header, expfmt.DefaultOpenMetricsAcceptedFormats()...)
	var b bytes.Buffer
	if err := write(&b, format, r.gather()); err != nil {
		http.Error(w, "figures that cannot be written: "+err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", string(format))
	w.Write(b.Bytes())
}

func write(to io.Writer, format expfmt.Format, families []*dto.MetricFamily) error {
	encoder := expfmt.NewEncoder(to, format)
	for _, f := range families {
		if err := encoder.Encode(f); err != nil {
			return err
		}
	}
	if end, ok := encoder.(expfmt.Closer); ok {
		return end.Close() // the mark at the end of OpenMetrics
	}
	return nil
}

// Writer takes figures from a source. labels are names and values in turn. The name of a family always comes with the same help.
type Writer struct{ families map[string]*dto.MetricFamily }

// Counter writes a figure that never becomes less, except when the server has been started again. Its name ends with _total.
func (w *Writer) Counter(name, help string, value float64, labels ...string) {
	w.add(name, help, dto.MetricType_COUNTER, labels).Counter = &dto.Counter{Value: &value}
}

// Counters writes the figures of a family by the values of a label, which follows the others.
func (w *Writer) Counters(name, help, label string, by map[string]uint64, labels ...string) {
	for _, value := range slices.Sorted(maps.Keys(by)) {
		w.Counter(name, help, float64(by[value]), append(slices.Clip(labels), label, value)...)
	}
}

// Gauge writes a figure that may change in any way.
func (w *Writer) Gauge(name, help string, value float64, labels ...string) {
	w.add(name, help, dto.MetricType_GAUGE, labels).Gauge = &dto.Gauge{Value: &value}
}

// Histogram writes what a histogram has counted.
func (w *Writer) Histogram(name, help string, s *Snapshot, labels ...string) {
	w.add(name, help, dto.MetricType_HISTOGRAM, labels).Histogram = s.metric()
}

// Buckets writes a histogram with classic buckets only. counts[i] is the number of values above the bound before and at most bound(i); those
// of the last one have no bound.
func (w *Writer) Buckets(name, help string, counts []uint64, bound func(i int) time.Duration, sum time.Duration, labels ...string) {
	h := &dto.Histogram{SampleSum: new(sum.Seconds())}
	below := uint64(0)
	for i, n := range counts {
		below += n
		if i < len(counts)-1 {
			h.Bucket = append(h.Bucket, &dto.Bucket{UpperBound: new(bound(i).Seconds()), CumulativeCount: new(below)})
		}
	}
	h.SampleCount = &below
	w.add(name, help, dto.MetricType_HISTOGRAM, labels).Histogram = h
}

// Label is a text as it stands in a label. Whoever counts by it has to add up what is equal then: a series must not come twice.
func Label(text string) string { return strings.ToValidUTF8(text, "?") }

// add adds a metric to its family.
func (w *Writer) add(name, help string, kind dto.MetricType, labels []string) *dto.Metric {
	f := w.families[name]
	if f == nil {
		f = &dto.MetricFamily{Name: &name, Help: &help, Type: &kind}
		w.families[name] = f
	}
	m := &dto.Metric{}
	for i := 0; i+1 < len(labels); i += 2 {
		m.Label = append(m.Label, &dto.LabelPair{Name: new(labels[i]), Value: new(Label(labels[i+1]))})
	}
	f.Metric = append(f.Metric, m)
	return m
}
