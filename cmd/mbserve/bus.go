package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"

	"moonbridge/cmd/mbserve/bus"
	"moonbridge/cmd/mbserve/metrics"
)

// busEnv is the environment variable that has the address of the bus if no option says it. The script does not see it.
const busEnv = "MBSERVE_BUS"

// checkBus reads the address of the bus. Its errors do not show it.
func (o *options) checkBus() (err error) {
	name, text := "--bus", o.bus
	if o.busFile != "" {
		if text != "" {
			return errors.New("--bus and --bus-file cannot be used together")
		}
		data, err := os.ReadFile(o.busFile)
		if err != nil {
			return fmt.Errorf("--bus-file: %w", err)
		}
		name, text = "--bus-file", strings.TrimSpace(string(data))
	}
	if name == "--bus" && text == "" {
		if name, text = busEnv, strings.TrimSpace(os.Getenv(busEnv)); text == "" {
			return nil
		}
	}
	if o.busAddress, err = bus.ParseAddress(text); err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	return nil
}

// hideBus is the environment in which a script runs without the address of the bus.
func hideBus() []string {
	if os.Getenv(busEnv) == "" {
		return nil
	}
	return []string{busEnv + "="}
}

// openBus makes the messages of channels those of the bus. They wait until it is started.
func (s *server) openBus() {
	if s.o.busAddress != nil {
		s.bus = bus.New(s.o.busAddress, s.channels, s.log)
	}
}

// startBus connects with the bus. The rules of channels are known by now, so their histories are filled.
func (s *server) startBus() {
	if s.bus != nil {
		s.bus.Start(context.Background())
	}
}

// endBus ends the bus when nothing is published any more.
func (s *server) endBus(ctx context.Context) {
	if s.bus != nil {
		s.bus.Close(ctx)
	}
}

func (s *server) logBus() {
	if s.bus == nil {
		return
	}
	st := s.bus.Stats()
	s.log.Info("bus", "connected", st.Connected, "connections", st.Connections, "sent", st.Sent, "received", st.Received,
		"dropped", st.Dropped, "gaps", st.Gaps, "malformed", st.Malformed, "waiting", st.Waiting)
}

func (a *adminSide) writeBus(w *metrics.Writer) {
	if a.s.bus == nil {
		return
	}
	st := a.s.bus.Stats()
	w.Gauge("moonbridge_bus_connected", "1 if the server is connected with the bus.", flag(st.Connected))
	w.Counter("moonbridge_bus_connections_total", "Connections with the bus that were made.", float64(st.Connections))
	w.Counter("moonbridge_bus_sent_total", "Messages of this server that are on the bus.", float64(st.Sent))
	w.Counter("moonbridge_bus_received_total", "Messages of other servers.", float64(st.Received))
	w.Counter("moonbridge_bus_dropped_total", "Messages of this server that are not on the bus, because too many waited or the bus did not take them.", float64(st.Dropped))
	w.Counter("moonbridge_bus_gaps_total", "Times that messages of other servers were missing.", float64(st.Gaps))
	w.Counter("moonbridge_bus_malformed_total", "Entries of the bus that could not be read.", float64(st.Malformed))
	w.Gauge("moonbridge_bus_waiting_bytes", "Memory of the messages that wait for the bus.", float64(st.Waiting))
}
