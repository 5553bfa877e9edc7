package otlp

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace"
	"go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"

	"moonbridge/handler/accesslog"
	"moonbridge/handler/logging"
)

const (
	// queueBytes bounds what waits of a loop. As much again may be on its way to the collector.
	queueBytes = 1 << 20
	// delayDefault is how long exchanges are collected, unless OTEL_BSP_SCHEDULE_DELAY says something else.
	delayDefault = time.Second
	// batchSpans is how many spans a message has at most, and up to two more of the same exchange.
	batchSpans = 512
	// tellEvery is how often the log says that spans are lost.
	tellEvery = 30 * time.Second
)

// Config says where spans go, and which.
type Config struct {
	// Endpoint is the URL of the collector, such as http://127.0.0.1:4318. "": the environment says it.
	Endpoint string
	// Ratio is the share of the traces that begin here which is recorded. Less than 0: the environment says it.
	Ratio   float64
	Loops   int
	Version string // of the server
	Log     *slog.Logger
}

// Exporter sends spans. Any goroutine may use it.
type Exporter struct {
	sampler
	log    *slog.Logger
	client *client
	queue  *logging.Queue
	lanes  int

	sent, dropped, failed atomic.Uint64 // exchanges

	mu   sync.Mutex
	told time.Time // when the log has last said that spans are lost
}

// ErrDisabled: OTEL_SDK_DISABLED is set.
var ErrDisabled = errors.New("OTEL_SDK_DISABLED is set")

// New starts an exporter. The collector need not be there.
func New(c Config) (*Exporter, error) {
	if strings.EqualFold(os.Getenv("OTEL_SDK_DISABLED"), "true") {
		return nil, ErrDisabled
	}
	e := &Exporter{log: c.Log, lanes: max(c.Loops, 1)}
	var err error
	if e.sampler, err = newSampler(c.Ratio); err != nil {
		return nil, err
	}
	if e.client, err = newClient(c.Endpoint, "moonbridge/"+c.Version); err != nil {
		return nil, err
	}
	delay, err := milliseconds("OTEL_BSP_SCHEDULE_DELAY", delayDefault)
	if err != nil {
		return nil, err
	}
	otel.SetErrorHandler(otel.ErrorHandlerFunc(func(err error) { c.Log.Debug("traces", "err", err) }))
	e.queue = logging.NewQueue(newWriter(e, resourceOf(c)), logging.Options{Lanes: e.lanes, Bytes: queueBytes, Delay: delay})
	return e, nil
}

// resourceOf describes this process. The environment comes last, so it wins.
func resourceOf(c Config) *resource.Resource {
	own := resource.WithAttributes(attribute.String("service.name", "mbserve"), attribute.String("service.version", c.Version))
	r, err := resource.New(context.Background(), own, resource.WithTelemetrySDK(), resource.WithHost(), resource.WithProcessPID(), resource.WithFromEnv())
	if err != nil {
		c.Log.Warn("traces: the environment says something invalid of this process", "err", err)
	}
	return r
}

// Endpoint is where spans are sent, without what may be secret.
func (e *Exporter) Endpoint() string { return e.client.shown }

// Record notes an exchange that is over, if its trace is recorded. It is called on the loop of the exchange, and never waits.
func (e *Exporter) Record(a *accesslog.Entry) {
	if a.Trace == nil || !a.Trace.Sampled() {
		return
	}
	if !e.queue.Append(a.Loop%e.lanes, func(b []byte) []byte { return appendEntry(b, a) }) {
		e.lose(1, &e.dropped, errQueue)
	}
}

var errQueue = errors.New("the collector is too slow: the queue is full")

// lose counts exchanges whose spans are lost, and says so from time to time.
func (e *Exporter) lose(n int, counter *atomic.Uint64, err error) {
	counter.Add(uint64(n))
	now := time.Now()
	e.mu.Lock()
	tell := now.Sub(e.told) >= tellEvery
	if tell {
		e.told = now
	}
	e.mu.Unlock()
	if tell {
		e.log.Warn("traces lost", "collector", e.client.shown, "requests", e.dropped.Load()+e.failed.Load(), "err", err)
	}
}

// Stats are what has become of exchanges so far.
type Stats struct {
	Sent    uint64
	Dropped uint64 // the queue was full
	Failed  uint64 // the collector did not take them
}

// Stats returns them.
func (e *Exporter) Stats() Stats {
	return Stats{Sent: e.sent.Load(), Dropped: e.dropped.Load(), Failed: e.failed.Load()}
}

// Close sends what waits, for at most the given time. What is not sent then is lost, and the log says so. Nothing must be recorded
// afterwards.
func (e *Exporter) Close(within time.Duration) {
	if e == nil {
		return
	}
	if !e.queue.Close(within) {
		e.log.Warn("traces: the last ones could not be sent in time", "collector", e.client.shown)
	}
	e.client.cancel()
}

// writer makes spans of what the queue passes on, and sends them. The goroutine of the queue owns it.
type writer struct {
	e        *Exporter
	ids      ids
	spans    spans
	provider *sdktrace.TracerProvider
	exporter *otlptrace.Exporter
	maker    maker
}

func newWriter(e *Exporter, r *resource.Resource) *writer {
	w := &writer{e: e, exporter: otlptrace.NewUnstarted(e.client)}
	w.provider = sdktrace.NewTracerProvider(sdktrace.WithResource(r), sdktrace.WithSampler(sdktrace.AlwaysSample()),
		sdktrace.WithIDGenerator(&w.ids), sdktrace.WithSpanProcessor(&w.spans))
	w.maker = maker{tracer: w.provider.Tracer("moonbridge"), ids: &w.ids}
	return w
}

// Write implements io.Writer, for whole records.
func (w *writer) Write(p []byte) (int, error) {
	n, exchanges := len(p), 0
	var r record
	for len(p) > 0 {
		rest, ok := r.read(p)
		if !ok {
			w.e.lose(1, &w.e.failed, errRecord)
			break
		}
		p = rest
		w.maker.make(&r)
		if exchanges++; len(w.spans.ended) >= batchSpans {
			w.send(exchanges)
			exchanges = 0
		}
	}
	w.send(exchanges)
	return n, nil
}

var errRecord = errors.New("damaged record")

// send sends the spans of a number of exchanges.
func (w *writer) send(exchanges int) {
	if exchanges == 0 {
		return
	}
	err := w.exporter.ExportSpans(w.e.client.context, w.spans.ended)
	clear(w.spans.ended)
	w.spans.ended = w.spans.ended[:0]
	if err != nil {
		w.e.lose(exchanges, &w.e.failed, errors.Unwrap(err))
		return
	}
	w.e.sent.Add(uint64(exchanges))
}

// spans collects spans that have ended: a span processor that does nothing else.
type spans struct{ ended []sdktrace.ReadOnlySpan }

func (s *spans) OnStart(context.Context, sdktrace.ReadWriteSpan) {}
func (s *spans) OnEnd(span sdktrace.ReadOnlySpan)                { s.ended = append(s.ended, span) }
func (s *spans) Shutdown(context.Context) error                  { return nil }
func (s *spans) ForceFlush(context.Context) error                { return nil }

// milliseconds is a duration that the environment has.
func milliseconds(name string, otherwise time.Duration) (time.Duration, error) {
	text := strings.TrimSpace(os.Getenv(name))
	if text == "" {
		return otherwise, nil
	}
	n, err := strconv.ParseUint(text, 10, 32)
	d := time.Duration(n) * time.Millisecond
	if err != nil || d <= 0 || d > time.Hour {
		return 0, fmt.Errorf("%s=%q: a number of milliseconds expected", name, text)
	}
	return d, nil
}
