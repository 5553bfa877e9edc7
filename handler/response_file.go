package handler

import (
	"bytes"
	"io"
	"os"
	"slices"
	"time"

	"moonbridge/handler/files"
	"moonbridge/httpparse"
	"moonbridge/httpwrite"
)

// FileOptions say what SendFile cannot learn from a file. The zero value is a usable default.
type FileOptions struct {
	// Type is the Content-Type. Empty: that of the file's name, or application/octet-stream.
	Type string
	// ETag is the entity tag, with its quotes. Empty: it is made from the file's time of modification and size.
	ETag string
	// Modified is used for Last-Modified. Zero: the file's time of modification.
	Modified time.Time
	// CacheControl is the Cache-Control field. Empty: there is none.
	CacheControl string
	// Download is the name under which a browser saves the file. Empty: the browser may show it.
	Download string
}

// SendFile makes the file the body of the response to r, and evaluates the conditions and ranges of the request (RFC 9110 §13,
// §14): the status may become 206, 304, 412 or 416. If SetStatus was called with a status other than 200, the file is sent
// whole. Fields that were set stay, except for those that SendFile sets: Content-Type, Content-Range, Last-Modified, ETag,
// Accept-Ranges, X-Content-Type-Options, and, as the options say, Cache-Control and Content-Disposition.
//
// The bytes are sent by the system, without being copied here, when the client takes them. f may be closed when SendFile has
// returned, or removed or replaced. It should not be overwritten: if it becomes shorter before it is sent, the
// connection is reset. On the loop, SendFile asks the system for the file's size and time, which does not block for long.
//
// Errors are ErrNotRegular, ErrBodyBegun, ErrHeadSent, ErrEnded, httpwrite.ErrFieldValue for options that cannot be sent, ErrGone, and
// those of the system. Nothing has been changed then, except with ErrGone.
func (w *Response) SendFile(r *Request, f *os.File, o FileOptions) error {
	if err := w.empty(); err != nil {
		return err
	}
	info, err := f.Stat()
	if err != nil {
		return err
	}
	if !info.Mode().IsRegular() {
		return ErrNotRegular
	}
	known := files.File{Size: info.Size(), Modified: info.ModTime().UnixNano()}
	if !o.Modified.IsZero() {
		known.Modified = o.Modified.UnixNano()
	}
	options, err := o.plan(info.Name())
	if err != nil {
		return err
	}
	var plan files.Plan
	plan.Make(w.planRequest(r), &known, options)
	if len(w.fields)+len(plan.Fields) > fieldsMax {
		return ErrFieldsTooLarge
	}
	var sent *sentFile
	if slices.ContainsFunc(plan.Parts, func(p files.Part) bool { return w.takesRange(p.Length, plan.Fields) }) {
		if sent, err = newSentFile(f); err != nil {
			return err
		}
		defer sent.Release()
	}
	w.setLines(plan.Fields)
	if w.length = plan.Length; w.statusOr200() == 200 {
		w.status = plan.Status
	}
	return w.writePlan(&plan, f, sent)
}

// empty returns nil if there is no body yet.
func (w *Response) empty() error {
	if err := w.changeable(); err != nil {
		return err
	}
	switch {
	case w.written > 0:
		return ErrBodyBegun
	case httpwrite.Bodiless(w.statusOr200()):
		return ErrBodiless
	}
	return w.err
}

// plan translates and checks the options.
func (o *FileOptions) plan(name string) (*files.Options, error) {
	p := &files.Options{Type: o.Type, ETag: o.ETag, CacheControl: o.CacheControl, Download: o.Download}
	if p.Type == "" {
		p.Type = files.TypeOf(name)
	}
	if p.ETag != "" && !httpparse.ValidETag(p.ETag) {
		return nil, httpwrite.ErrFieldValue
	}
	for _, value := range []string{p.Type, p.CacheControl} {
		if err := httpwrite.CheckField("Name", value); err != nil {
			return nil, err
		}
	}
	return p, nil
}

// planRequest is what a plan needs of r. With a status of the handler's own, conditions and ranges have no meaning.
func (w *Response) planRequest(r *Request) *files.Request {
	p := &files.Request{Now: time.Now().UnixNano()}
	if w.statusOr200() == 200 {
		method := r.Method()
		p.Get, p.Head = string(method) == "GET", string(method) == "HEAD"
		p.Conditions = r.head.Conditions()
	}
	return p
}

// writePlan writes the body of the plan. sent is nil if the bytes of f have to be copied.
func (w *Response) writePlan(p *files.Plan, f *os.File, sent *sentFile) error {
	for _, part := range p.Parts {
		if _, err := w.Write(part.Before); err != nil {
			return err
		}
		if err := w.writePart(part, f, sent); err != nil {
			return err
		}
	}
	_, err := w.Write(p.Closing)
	return err
}

func (w *Response) writePart(part files.Part, f *os.File, sent *sentFile) error {
	if sent == nil || !w.takesRange(part.Length, w.fields) {
		_, err := io.Copy(w, io.NewSectionReader(f, part.Offset, part.Length))
		return err
	}
	sent.uses.Add(1)
	return w.appendRange(sent, part.Offset, part.Length)
}

// setLines adds field lines, and removes those of the same names that were set before.
func (w *Response) setLines(lines []byte) {
	had := len(w.fields)
	w.fields = append(w.fields, lines...)
	for line := range bytes.Lines(lines) {
		name, _, _ := bytes.Cut(line, colon)
		before := len(w.fields)
		w.delete(string(name), had)
		had -= before - len(w.fields)
	}
}

var colon = []byte(":")
