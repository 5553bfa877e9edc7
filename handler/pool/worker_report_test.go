package pool

import (
	"bytes"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"moonbridge/handler/logging"
	"moonbridge/handler/shm"
)

// reportOf makes the message of a worker. parts are message, traceback, in, method, path, id, trace, interval.
func reportOf(h shm.MsgReportBody, parts ...string) []byte {
	for i, to := range []*uint32{&h.MessageLen, &h.TracebackLen, &h.InLen, &h.MethodLen, &h.PathLen, &h.IDLen, &h.TraceLen, &h.IntervalLen} {
		if i < len(parts) {
			*to = uint32(len(parts[i]))
		}
	}
	return append(bytes.Clone(shm.Bytes(&h)), strings.Join(parts, "")...)
}

// logOf is a worker whose pool logs into out.
func logOf(out *logBuffer, json bool) *Worker {
	var h slog.Handler = slog.NewTextHandler(out, nil)
	if json {
		h = slog.NewJSONHandler(out, nil)
	}
	log := slog.New(h)
	w := &Worker{p: &Pool{reports: newReportLog(log), tally: logging.NewTally(log)}}
	w.pid.Store(7)
	return w
}

// A report is one record. Nothing in it can forge another one.
func TestReport(t *testing.T) {
	client := shm.Address{Family: 4, Port: 99, IP: [16]byte{192, 0, 2, 1}}
	for _, c := range []struct {
		name, want string
		body       []byte
		json       bool
	}{
		{"request", `level=ERROR msg="x.lua:1: a" pid=7 in=request client=192.0.2.1:99 method=GET path=/p request_id=id-1 trace_id=0af7 traceback="stack traceback:\n\tx.lua:1: in main"`,
			reportOf(shm.MsgReportBody{Level: shm.LevelError, Remote: client}, "x.lua:1: a", "stack traceback:\n\tx.lua:1: in main", "request", "GET", "/p", "id-1", "0af7"), false},
		{"interval", `level=ERROR msg=a pid=7 in=interval interval="every day"`,
			reportOf(shm.MsgReportBody{Level: shm.LevelError}, "a", "", "interval", "", "", "", "", "every day"), false},
		{"warning", `level=WARN msg=a pid=7 in=worker`, reportOf(shm.MsgReportBody{Level: shm.LevelWarn}, "a", "", "worker"), false},
		{"unknown level", `level=ERROR msg=a pid=7 in=x`, reportOf(shm.MsgReportBody{Level: 99}, "a", "", "x"), false},
		{"any bytes", `level=ERROR msg="a\\x00\\xff\\x1b\n\tlevel=ERROR \"" pid=7 in=x`,
			reportOf(shm.MsgReportBody{Level: shm.LevelError}, "a\x00\xff\x1b\n\tlevel=ERROR \"", "", "x"), false},
		{"cut", `level=ERROR msg="a… (5 more bytes)" pid=7 in=x traceback="b… (6 more bytes)"`,
			reportOf(shm.MsgReportBody{Level: shm.LevelError, MessageCut: 5, TracebackCut: 6}, "a", "b", "x"), false},
		{"JSON", `"level":"ERROR","msg":"a\\x00\nb","pid":7,"in":"request","method":"GET","path":"/p","request_id":"id","traceback":"t\n\tu"}`,
			reportOf(shm.MsgReportBody{Level: shm.LevelError}, "a\x00\nb", "t\n\tu", "request", "GET", "/p", "id"), true},
		{"the peer's fault", `level=INFO msg="requests refused" status=400 cause="request body: malformed" count=1 total=1 client=192.0.2.1:99 method=POST path=/p request_id=id`,
			reportOf(shm.MsgReportBody{Level: shm.LevelInfo, Status: 400, Remote: client}, "x.lua:1: request body: malformed", "", "request", "POST", "/p", "id"), false},
	} {
		var out logBuffer
		if err := logOf(&out, c.json).report(c.body); err != nil {
			t.Errorf("%s: %v", c.name, err)
		}
		if got := out.String(); !strings.HasSuffix(got, c.want+"\n") || strings.Count(got, "\n") != 1 {
			t.Errorf("%s: %s\nwant %s", c.name, got, c.want)
		}
	}
}

// Lengths that a worker claims are checked.
func TestReportMalformed(t *testing.T) {
	good := reportOf(shm.MsgReportBody{Level: shm.LevelError}, "message", "traceback", "request", "GET", "/p", "id", "trace", "interval")
	for n := range good {
		if _, err := decodeReport(good[:n]); !errors.Is(err, errMessage) {
			t.Errorf("%d of %d bytes: %v", n, len(good), err)
		}
	}
	if _, err := decodeReport(append(bytes.Clone(good), 'x')); !errors.Is(err, errMessage) {
		t.Errorf("a byte too many: %v", err)
	}
	var h shm.MsgReportBody
	h.MessageLen = 1<<32 - 1
	if _, err := decodeReport(shm.Bytes(&h)); !errors.Is(err, errMessage) {
		t.Errorf("a huge part: %v", err)
	}
	if _, err := decodeReport(reportOf(shm.MsgReportBody{}, strings.Repeat("m", shm.ReportTextMax), "t", "x")); !errors.Is(err, errMessage) {
		t.Errorf("a long text: %v", err)
	}
	for i := range 6 {
		parts := make([]string, 8)
		parts[2+i] = strings.Repeat("n", shm.ReportTextMax)
		if _, err := decodeReport(reportOf(shm.MsgReportBody{}, parts...)); !errors.Is(err, errMessage) {
			t.Errorf("a long name, part %d: %v", 2+i, err)
		}
	}
	for _, status := range []uint32{1, 399, 600, 1<<32 - 1} { // each would be counted by itself
		if _, err := decodeReport(reportOf(shm.MsgReportBody{Status: status}, "m")); !errors.Is(err, errMessage) {
			t.Errorf("status %d: %v", status, err)
		}
	}
}

// What a worker that does not start says is cut, as a line of its standard error is.
func TestNotStartedIsCut(t *testing.T) {
	if got := notStarted([]byte("a\x00" + strings.Repeat("b", shm.MsgMax))); len(got) > lineMax+100 || !strings.HasPrefix(got, `a\x00b`) {
		t.Errorf("%d bytes: %.20s", len(got), got)
	}
}

// Too many reports are counted instead of logged.
func TestReportFlood(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out logBuffer
		w := logOf(&out, false)
		body := reportOf(shm.MsgReportBody{Level: shm.LevelError}, "a", "", "request")
		for range 2 * reportsBurst {
			if err := w.report(body); err != nil {
				t.Fatal(err)
			}
		}
		time.Sleep(time.Second)
		synctest.Wait()
		if got := out.String(); strings.Count(got, "msg=a ") != reportsBurst ||
			!strings.HasSuffix(got, "level=ERROR msg=\"errors of handlers not logged: too many\" count=500\n") {
			t.Errorf("%d reports, then %s", strings.Count(got, "msg=a "), got[max(0, len(got)-200):])
		}
	})
}
