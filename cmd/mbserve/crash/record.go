package crash

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"syscall"
	"time"
	"unicode/utf8"
)

// Format is what Record.Format says.
const Format = "moonbridge crash 1"

// recordMax bounds a file that is read.
const recordMax = 16 << 20

// Record is the content of a file. What is not known is empty.
type Record struct {
	Format string    `json:"format"`
	ID     string    `json:"id"` // in the log: crash=ID
	Time   time.Time `json:"time"`
	Cause  string    `json:"cause"`
	Server Server    `json:"server"`

	Kind    string   `json:"kind"`           // http, interval, connection, main, websocket
	Name    string   `json:"name,omitempty"` // of an interval or a main handler
	Request *Request `json:"request,omitempty"`
	Figures Figures  `json:"figures"`
	Worker  Worker   `json:"worker"`

	Message   string   `json:"message,omitempty"`   // of the error
	Traceback []string `json:"traceback,omitempty"` // lines
	Backtrace []string `json:"backtrace,omitempty"` // lines: of C
	NoCore    string   `json:"no_backtrace,omitempty"`
	Log       []string `json:"log,omitempty"` // last lines of the worker's standard error
}

// Server says what has run.
type Server struct {
	Version    string   `json:"version"`
	Lua        string   `json:"lua"`
	Program    string   `json:"program"`
	Script     string   `json:"script"`
	Args       []string `json:"args,omitempty"`
	Directory  string   `json:"directory"` // the working directory
	Generation int      `json:"generation"`
}

// Request is a request, with its secrets masked.
type Request struct {
	Pool     int      `json:"pool"`
	Listener int      `json:"listener"`
	Client   string   `json:"client,omitempty"`
	ID       string   `json:"request_id,omitempty"`
	Trace    string   `json:"trace_id,omitempty"`
	Secure   bool     `json:"secure,omitempty"`
	Head     Text     `json:"head,omitzero"`
	Body     Text     `json:"body,omitzero"`
	Length   int64    `json:"body_length"` // -1: not known
	Cut      bool     `json:"body_incomplete,omitempty"`
	Masked   []string `json:"masked,omitempty"` // names of the fields
}

// Figures say how it went.
type Figures struct {
	Waited  float64 `json:"waited"`  // seconds
	Running float64 `json:"running"` // seconds
	Phase   string  `json:"phase,omitempty"`
	Retried bool    `json:"retried,omitempty"` // another worker got it
}

// Worker describes the process.
type Worker struct {
	PID       int     `json:"pid"`
	Age       float64 `json:"age"`       // seconds
	Exchanges uint64  `json:"exchanges"` // that it had finished
	Memory    int64   `json:"memory_bytes,omitempty"`
	End       string  `json:"end,omitempty"` // empty: it went on
}

// Text is bytes that are mostly text: JSON has them as a list of lines with their ends, or, if they are none, as {"base64": …}.
type Text []byte

// MarshalJSON implements json.Marshaler.
func (t Text) MarshalJSON() ([]byte, error) {
	if !utf8.Valid(t) {
		return json.Marshal(map[string]string{"base64": base64.StdEncoding.EncodeToString(t)})
	}
	lines := strings.SplitAfter(string(t), "\n")
	if n := len(lines) - 1; lines[n] == "" {
		lines = lines[:n]
	}
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false) // people read it
	err := e.Encode(lines)
	return b.Bytes(), err
}

// UnmarshalJSON implements json.Unmarshaler.
func (t *Text) UnmarshalJSON(b []byte) error {
	var lines []string
	if json.Unmarshal(b, &lines) == nil {
		*t = Text(strings.Join(lines, ""))
		return nil
	}
	var coded struct {
		Base64 []byte `json:"base64"`
	}
	if err := json.Unmarshal(b, &coded); err != nil {
		return err
	}
	*t = coded.Base64
	return nil
}

// IsZero is for the option omitzero.
func (t Text) IsZero() bool { return len(t) == 0 }

// Lines are the lines of a text; nil if it is empty.
func Lines(text string) []string {
	if text == "" {
		return nil
	}
	return strings.Split(strings.TrimSuffix(text, "\n"), "\n")
}

// Read reads a record.
func Read(name string) (*Record, error) {
	f, err := os.OpenFile(name, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, recordMax+1))
	if err != nil {
		return nil, err
	}
	if len(b) > recordMax {
		return nil, fmt.Errorf("%s: larger than %d bytes", name, recordMax)
	}
	r, err := decode(b)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return r, nil
}

var errFormat = errors.New("no record of a crash")

func encode(r *Record) ([]byte, error) {
	r.Format = Format
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	err := e.Encode(r)
	return b.Bytes(), err
}

func decode(b []byte) (*Record, error) {
	r := new(Record)
	if err := json.Unmarshal(b, r); err != nil {
		return nil, fmt.Errorf("%w: %w", errFormat, err)
	}
	if r.Format != Format {
		return nil, fmt.Errorf("%w of this version: the format is %q", errFormat, r.Format)
	}
	return r, nil
}
