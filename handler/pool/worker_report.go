package pool

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"unsafe"

	"moonbridge/handler/logging"
	"moonbridge/handler/shm"
)

const (
	// An application that fails in every request must not fill the disk. The log takes reportsPerSecond of a pool, and
	// reportsBurst at once. Most reports are shorter than a kilobyte; none is longer than ReportTextMax by much.
	reportsPerSecond = 50
	reportsBurst     = 500

	// reportNameMax is the most bytes of a method, a path and so on in a report. Workers cut them to less.
	reportNameMax = 512
)

// report is what a worker wants to have logged of an error.
type report struct {
	shm.MsgReportBody
	message, traceback                    []byte
	in, method, path, id, trace, interval string
}

func decodeReport(body []byte) (r report, err error) {
	size := int(unsafe.Sizeof(r.MsgReportBody))
	if len(body) < size {
		return r, fmt.Errorf("%w: report of %d bytes", errMessage, len(body))
	}
	copy(shm.Bytes(&r.MsgReportBody), body)
	body = body[size:]
	var name [6][]byte
	for _, p := range []struct {
		to  *[]byte
		len uint32
	}{
		{&r.message, r.MessageLen}, {&r.traceback, r.TracebackLen}, {&name[0], r.InLen},
		{&name[1], r.MethodLen}, {&name[2], r.PathLen}, {&name[3], r.IDLen}, {&name[4], r.TraceLen},
		{&name[5], r.IntervalLen},
	} {
		if uint64(p.len) > uint64(len(body)) {
			return r, fmt.Errorf("%w: parts of a report", errMessage)
		}
		*p.to, body = body[:p.len], body[p.len:]
	}
	if len(body) > 0 || len(r.message)+len(r.traceback) > shm.ReportTextMax {
		return r, fmt.Errorf("%w: report too long", errMessage)
	}
	if r.Status != 0 && (r.Status < 400 || r.Status > 599) { // it is counted by its number
		return r, fmt.Errorf("%w: status of a report", errMessage)
	}
	for _, n := range name {
		if len(n) > reportNameMax {
			return r, fmt.Errorf("%w: names in a report", errMessage)
		}
	}
	for i, to := range []*string{&r.in, &r.method, &r.path, &r.id, &r.trace, &r.interval} {
		*to = printable(name[i])
	}
	return r, nil
}

// report logs what a worker reports.
func (w *Worker) report(body []byte) error {
	r, err := decodeReport(body)
	switch {
	case err != nil:
		return err
	case r.Status != 0:
		w.p.tally.Add(r.event(), r.about)
	default:
		w.p.reports.write(w, &r, w.notes.report(&r))
	}
	return nil
}

// event is the event of a request that is refused because the peer is at fault.
func (r *report) event() logging.Event {
	cause := printableText(r.message)
	if i := strings.Index(cause, "request body"); i > 0 {
		cause = cause[i:] // without the place in the script
	}
	return logging.Event{Level: slog.LevelInfo, Message: requestsRefused, Status: int(r.Status), Cause: cause}
}

// about says which exchange it is about.
func (r *report) about() []slog.Attr {
	a := about{client: r.Remote.AddrPort(), method: r.method, path: r.path, interval: r.interval, id: r.id, trace: r.trace}
	if r.in == "main" {
		a.interval, a.main = "", r.interval
	}
	return a.attrs()
}

// reportLog writes reports into the log: one record each.
type reportLog struct {
	log   *slog.Logger
	quota *logging.Quota
}

func newReportLog(log *slog.Logger) *reportLog {
	return &reportLog{log: log, quota: logging.NewQuota(reportsPerSecond, reportsBurst, func(count int) {
		log.LogAttrs(context.Background(), slog.LevelError, "errors of handlers not logged: too many", slog.Int("count", count))
	})}
}

// write logs a report, unless there have been too many. crash is the id of the record of the failure, if there is one.
func (l *reportLog) write(w *Worker, r *report, crash string) {
	if !l.quota.Allow() {
		return
	}
	attrs := []slog.Attr{slog.Int("pid", int(w.pid.Load())), slog.String("in", r.in)}
	attrs = append(attrs, r.about()...)
	attrs = withCrash(attrs, crash)
	if len(r.traceback) > 0 {
		attrs = append(attrs, slog.String("traceback", cutText(r.traceback, r.TracebackCut)))
	}
	l.log.LogAttrs(context.Background(), r.level(), cutText(r.message, r.MessageCut), attrs...)
}

func (r *report) level() slog.Level {
	if r.Level == shm.LevelWarn {
		return slog.LevelWarn
	}
	return slog.LevelError
}

// cutText is a text of which a number of bytes is missing, for the log.
func cutText(text []byte, missing uint32) string {
	s := printableText(text)
	if missing > 0 {
		s += fmt.Sprintf("… (%d more bytes)", missing)
	}
	return s
}

// notStarted is what a worker says that does not start, for the log.
func notStarted(text []byte) string {
	n := min(len(text), lineMax)
	return cutText(text[:n], uint32(len(text)-n))
}
