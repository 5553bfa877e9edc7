package main

import (
	"errors"
	"fmt"
	"time"

	"github.com/spf13/pflag"

	"moonbridge/cmd/mbserve/metrics"
	"moonbridge/cmd/mbserve/otlp"
	"moonbridge/engine"
)

const (
	// otlpEnv is the value of --otlp that leaves the address of the collector to the environment. The environment alone does not send
	// anything: scripts have it too, and it may be meant for them.
	otlpEnv = "env"
	// tracesCloseTimeout is how long the last traces may take when the server ends.
	tracesCloseTimeout = 3 * time.Second
)

// traceFrom says whose traceparent fields are trusted.
type traceFrom string

var traceFroms = map[traceFrom]engine.TraceFrom{
	"any": engine.TraceFromAny, "trusted": engine.TraceFromTrusted, "none": engine.TraceFromNone,
}

// checkTraces checks the options of traces. --otlp includes --trace.
func (o *options) checkTraces(f *pflag.FlagSet) error {
	switch {
	case o.otlp == "" && f.Changed("trace-ratio"):
		return errors.New("--trace-ratio needs --otlp")
	case !(o.traceRatio >= 0 && o.traceRatio <= 1):
		return errors.New("--trace-ratio must be between 0 and 1")
	case o.otlp == "" && !o.trace && f.Changed("trace-from"):
		return errors.New("--trace-from needs --trace or --otlp")
	}
	if !f.Changed("trace-ratio") {
		o.traceRatio = -1 // OTEL_TRACES_SAMPLER may say something else
	}
	o.trace = o.trace || o.otlp != ""
	return nil
}

// openTraces opens what sends traces.
func (s *server) openTraces() (err error) {
	if s.o.otlp == "" {
		return nil
	}
	c := otlp.Config{Endpoint: s.o.otlp, Ratio: s.o.traceRatio, Loops: loopsOf(s.o), Version: version, Log: s.log}
	if c.Endpoint == otlpEnv {
		c.Endpoint = ""
	}
	s.traces, err = otlp.New(c)
	if errors.Is(err, otlp.ErrDisabled) {
		s.log.Info("traces are not sent", "cause", err)
		return nil
	}
	if err != nil {
		return fmt.Errorf("--otlp: %w", err)
	}
	if s.admin != nil {
		s.admin.registry.Add(s.writeTraces)
	}
	s.log.Info("traces", "collector", s.traces.Endpoint())
	return nil
}

// traceOptions adds to the options of the engine what traces need.
func (s *server) traceOptions(o *engine.Options) {
	if !s.o.trace {
		return
	}
	o.Trace = &engine.Tracing{From: traceFroms[s.o.traceFrom]}
	if s.traces == nil {
		return
	}
	o.Trace.Sample, o.Trace.Children = s.traces.Sample, true
	log := o.AccessLog
	if log == nil {
		o.AccessLog, o.AccessBrief = s.traces.Record, true
		return
	}
	o.AccessLog = func(a *engine.Access) {
		s.traces.Record(a)
		log(a)
	}
}

func (s *server) writeTraces(w *metrics.Writer) {
	st := s.traces.Stats()
	w.Counters("moonbridge_traces_total", "Requests whose spans were to be sent; dropped: the queue was full, failed: the collector did not take them.",
		"result", map[string]uint64{"sent": st.Sent, "dropped": st.Dropped, "failed": st.Failed})
}
