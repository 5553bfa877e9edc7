package main

import (
	"maps"
	"os"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"moonbridge/cmd/mbserve/metrics"
	"moonbridge/handler/logging"
	"moonbridge/handler/worker"
	"moonbridge/reactor"
)

// addFigures adds everything that /metrics shows. Others add theirs with a.registry.Add.
func (a *adminSide) addFigures() {
	for _, source := range []func(*metrics.Writer){
		a.recorder.WriteTo, a.writeServer, a.writePools, a.writeCaches, a.writeChannels, a.writeBus, a.writeWebSockets, a.writeTimers, a.writeProcess,
	} {
		a.registry.Add(source)
	}
	for _, source := range []func(*metrics.Writer){a.writeLoops, a.writeConnections} {
		a.registry.Add(func(w *metrics.Writer) {
			if a.working.Load() { // otherwise there may be no engine yet
				source(w)
			}
		})
	}
}

func flag(is bool) float64 {
	if is {
		return 1
	}
	return 0
}

func (a *adminSide) writeServer(w *metrics.Writer) {
	w.Gauge("moonbridge_build_info", "1; its labels say what is running.", 1,
		"version", version, "lua", worker.Version(), "go", runtime.Version())
	w.Gauge("moonbridge_ready", "1 if every pool has a worker that takes requests and the server is not stopping.", flag(len(a.missing()) == 0))
	a.mu.Lock()
	defer a.mu.Unlock()
	w.Gauge("moonbridge_generation", "Loads of the script before the one that serves.", float64(a.current))
	results := map[string]uint64{"reloaded": 0, "failed": 0, "aborted": 0}
	maps.Copy(results, a.results)
	w.Counters("moonbridge_reloads_total", "Reloads of the script, by how they ended.", "result", results)
}

func (a *adminSide) writePools(w *metrics.Writer) {
	pools := a.pools()
	memory := a.memory.of(pools)
	for _, p := range pools {
		label := poolLabel(p.index)
		writeWorkers(w, p, label)
		for _, c := range []struct {
			name, help string
			n          uint64
		}{
			{"moonbridge_exchanges_total", "Requests, raw connections and ticks that the pool has taken.", p.Exchanges},
			{"moonbridge_forks_total", "Workers that were forked.", p.Forks},
			{"moonbridge_deaths_total", "Workers that ended without being told to.", p.Deaths},
			{"moonbridge_retries_total", "Exchanges given to another worker because theirs had ended.", p.Retries},
			{"moonbridge_lost_total", "Exchanges that ended with their worker.", p.Lost},
			{"moonbridge_abandoned_total", "Exchanges that left the queue because their clients had gone.", p.Abandoned},
		} {
			w.Counter(c.name, c.help, float64(c.n), "pool", label)
		}
		w.Gauge("moonbridge_waiting", "Exchanges that wait for a worker.", float64(p.Waiting), "pool", label)
		w.Gauge("moonbridge_in_flight", "Exchanges in progress, including those that wait.", float64(p.InFlight), "pool", label)
		w.Counters("moonbridge_worker_ends_total", "Workers that have ended, by cause.", "cause", p.ends, "pool", label)
		writeRefusals(w, label, p.refusals)
		if bytes := memory[p.index]; bytes > 0 {
			w.Gauge("moonbridge_workers_memory_bytes", "Proportional set size of the workers, at most 15 seconds old.", float64(bytes), "pool", label)
		}
		w.Gauge("moonbridge_shared_memory_bytes", "Memory that server and workers share. Pages that were never used take nothing.",
			float64(p.shared), "pool", label)
	}
}

// writeWorkers writes how many workers are in each state, and how old.
func writeWorkers(w *metrics.Writer, p *poolFigures, label string) {
	for _, state := range []struct {
		name string
		n    int
	}{{"booting", p.Booting}, {"idle", p.Idle}, {"busy", p.Busy}, {"draining", p.Draining}} {
		w.Gauge("moonbridge_workers", "Workers, by state.", float64(state.n), "pool", label, "state", state.name)
		var youngest, oldest time.Duration
		for _, one := range p.workers {
			if one.State == state.name {
				oldest = max(oldest, one.Age)
				if youngest == 0 || one.Age < youngest {
					youngest = one.Age
				}
			}
		}
		w.Gauge("moonbridge_worker_age_max_seconds", "Age of the oldest worker in a state; 0: there is none.", oldest.Seconds(), "pool", label, "state", state.name)
		w.Gauge("moonbridge_worker_age_min_seconds", "Age of the youngest worker in a state; 0: there is none.", youngest.Seconds(), "pool", label, "state", state.name)
	}
}

// causeBytesMax bounds a cause as a label.
const causeBytesMax = 120

// writeRefusals writes how often something was refused. What was refused is the message of the log line. Causes that are equal when cut
// are added.
func writeRefusals(w *metrics.Writer, pool string, refusals map[logging.Event]uint64) {
	type key struct{ what, status, cause string }
	by := make(map[key]uint64)
	for event, n := range refusals {
		k := key{what: event.Message, cause: metrics.Label(event.Cause[:min(len(event.Cause), causeBytesMax)])}
		if event.Status != 0 {
			k.status = strconv.Itoa(event.Status)
		}
		by[k] += n
	}
	for k, n := range by {
		w.Counter("moonbridge_refusals_total", "What was refused, or has failed without an answer of a worker, as the log says it.", float64(n),
			"pool", pool, "what", k.what, "status", k.status, "cause", k.cause)
	}
}

func (a *adminSide) writeLoops(w *metrics.Writer) {
	for _, l := range a.loops.of(a.s.engine) {
		label := strconv.Itoa(l.Loop)
		for _, c := range []struct {
			state string
			n     int
		}{{"active", l.Conns - l.Idle}, {"idle", l.Idle}, {"raw", l.Raw}} {
			w.Gauge("moonbridge_connections", "Connections of an event loop, by state.", float64(c.n), "loop", label, "state", c.state)
		}
		w.Counter("moonbridge_connections_accepted_total", "Connections that an event loop has accepted.", float64(l.Accepted), "loop", label)
		w.Counter("moonbridge_connections_limited_total", "Connections that connection_limit has refused.", float64(l.Limited), "loop", label)
		w.Counter("moonbridge_connections_penalized_total", "Connections that were refused because their address had flooded (flood_penalty).",
			float64(l.Penalized), "loop", label)
		w.Counter("moonbridge_request_heads_total", "Requests whose heads were complete.", float64(l.Requests), "loop", label)
		w.Counters("moonbridge_bytes_total", "Bytes of sockets, with TLS as they were encrypted.", "direction",
			map[string]uint64{"read": l.BytesRead, "written": l.BytesWritten}, "loop", label)
		writeHandshakes(w, &l, label)
		writeHTTP2(w, &l.HTTP2, label)
		w.Buckets("moonbridge_loop_turn_duration_seconds", "How long the turns of an event loop took.", l.Turns.Count[:], reactor.TurnLength,
			l.Turns.Total, "loop", label)
		w.Gauge("moonbridge_loop_longest_turn_seconds", "The longest turn so far.", l.LongestTurn.Seconds(), "loop", label)
		w.Gauge("moonbridge_loop_posts", "Functions that wait until an event loop calls them.", float64(l.Posts), "loop", label)
		w.Gauge("moonbridge_loop_buffers", "Buffers that connections hold for bytes that are not read or not sent.", float64(l.Buffers), "loop", label)
	}
}

func (a *adminSide) writeConnections(w *metrics.Writer) {
	e := a.s.engine
	writeRefusals(w, "", e.Refusals())
	running, waiting := e.Handshakes()
	w.Gauge("moonbridge_tls_handshakes", "TLS handshakes in progress.", float64(running), "state", "running")
	w.Gauge("moonbridge_tls_handshakes", "TLS handshakes in progress.", float64(waiting), "state", "waiting")
	w.Counters("moonbridge_tls_handshakes_failed_total", "TLS handshakes that have failed, by cause. They are in moonbridge_refusals_total, too.",
		"cause", e.HandshakeFailures())
	w.Counters("moonbridge_http2_connections_ended_total",
		"Connections with HTTP/2 that were ended because of what their clients had done, by cause. They are in moonbridge_refusals_total, too.",
		"cause", e.HTTP2Ends())
	sp := e.Spool()
	w.Gauge("moonbridge_spool_bytes", "Bytes in the files of the spool.", float64(sp.Bytes))
	w.Gauge("moonbridge_spool_files", "Open files of the spool.", float64(sp.Files))
	w.Counter("moonbridge_spool_refused_total", "Request bodies that did not fit into the spool.", float64(sp.Refused))
	w.Counter("moonbridge_spool_waited_total", "Responses that had to wait with their workers, since the spool had no room.", float64(sp.Waited))
}

func (a *adminSide) writeCaches(w *metrics.Writer) {
	g := a.serving()
	if g == nil {
		return
	}
	for id, one := range g.caches {
		st, label := one.Stats(), strconv.Itoa(id)
		w.Counters("moonbridge_cache_requests_total", "Requests, by what the cache has done. They begin again with each load of the script.",
			"result", map[string]uint64{"hit": st.Hits, "stale": st.Stale, "miss": st.Misses, "passed": st.Passed}, "cache", label)
		w.Counter("moonbridge_cache_stored_total", "Responses that were kept.", float64(st.Stored), "cache", label)
		w.Counter("moonbridge_cache_evicted_total", "Pages that had to make room.", float64(st.Evicted), "cache", label)
		w.Counter("moonbridge_cache_waits_total", "How often a request has waited for the response to another one.", float64(st.Waits), "cache", label)
		w.Gauge("moonbridge_cache_keys", "Pages in a cache.", float64(st.Keys), "cache", label)
		w.Gauge("moonbridge_cache_bytes", "Memory in use by a cache.", float64(st.Bytes), "cache", label)
		w.Gauge("moonbridge_cache_limit_bytes", "Memory that a cache may use.", float64(st.Limit), "cache", label)
	}
}

func (a *adminSide) writeTimers(w *metrics.Writer) {
	ticks := make(map[string]uint64)
	for _, t := range a.s.intervals.Timers() {
		ticks[metrics.Label(t.Name)] += t.Ticks
	}
	w.Counters("moonbridge_timer_ticks_total", "Ticks that have begun, by the name of the interval or main handler.", "name", ticks)
}

// writeProcess writes what is usual for any process, under the usual names.
func (a *adminSide) writeProcess(w *metrics.Writer) {
	w.Gauge("process_start_time_seconds", "Start of the server process since 1970.", float64(a.started.UnixMilli())/1000)
	w.Gauge("process_resident_memory_bytes", "Resident memory of the server process, without its workers.", float64(fieldOf("/proc/self/status", "VmRSS:")<<10))
	var use unix.Rusage
	if unix.Getrusage(unix.RUSAGE_SELF, &use) == nil {
		w.Counter("process_cpu_seconds_total", "Processor time of the server process, without its workers.",
			time.Duration(use.Utime.Nano()+use.Stime.Nano()).Seconds())
	}
	var files unix.Rlimit
	if unix.Getrlimit(unix.RLIMIT_NOFILE, &files) == nil {
		w.Gauge("process_max_fds", "Files that the server process may have open.", float64(files.Cur))
	}
	if open, err := descriptors(); err == nil {
		w.Gauge("process_open_fds", "Files that the server process has open.", float64(open))
	}
	w.Gauge("go_goroutines", "Goroutines of the server process.", float64(runtime.NumGoroutine()))
}

func descriptors() (int, error) {
	d, err := os.Open("/proc/self/fd")
	if err != nil {
		return 0, err
	}
	defer d.Close()
	names, err := d.Readdirnames(-1)
	return len(slices.DeleteFunc(names, func(s string) bool { return strings.HasPrefix(s, ".") })), err
}
