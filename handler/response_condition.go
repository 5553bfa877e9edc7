package handler

import (
	"time"

	"moonbridge/handler/files"
	"moonbridge/httpparse"
	"moonbridge/httpwrite"
)

// Validators identify the current version of what a request is for. One of them is enough.
type Validators struct {
	// ETag is the entity tag, with its quotes and perhaps W/. Empty: there is none.
	ETag string
	// Modified is the time of the last change. Zero: it is not known.
	Modified time.Time
}

// NotModified answers r if its conditions are enough for that (RFC 9110 §13): with 304 if the client of a GET or HEAD has the
// version that v describes, with 412 if the request is meant for another one. Then it returns true, and the handler has nothing
// more to do. Otherwise it returns false and has changed nothing.
//
// Fields that were set before are part of the answer. A handler sends the validators with the full response, too: that is
// where clients get them from. If SetStatus was called with a status other than 200, NotModified returns false.
//
// Errors are ErrBodyBegun, ErrBodiless, ErrHeadSent, ErrEnded, and httpwrite.ErrFieldValue if v has neither an entity tag nor a
// time, or if the tag is none. Nothing has been changed then.
func (w *Response) NotModified(r *Request, v Validators) (answered bool, err error) {
	if err := w.empty(); err != nil {
		return false, err
	}
	if v.ETag == "" && v.Modified.IsZero() || v.ETag != "" && !httpparse.ValidETag(v.ETag) {
		return false, httpwrite.ErrFieldValue
	}
	if w.statusOr200() != 200 {
		return false, nil
	}
	conditions := r.head.Conditions()
	if conditions.None() {
		return false, nil
	}
	known := httpparse.Validators{ETag: v.ETag, Modified: v.Modified.Unix(), HasModified: !v.Modified.IsZero()}
	status, fields, text := files.Precondition(string(r.Method()), &conditions, &known, time.Now().Unix())
	if status == 0 {
		return false, nil
	}
	if len(w.fields)+len(fields) > fieldsMax {
		return false, ErrFieldsTooLarge
	}
	w.setLines(fields)
	w.status, w.length = status, -1
	if status == 304 {
		return true, nil
	}
	w.length = int64(len(text))
	_, err = w.Write(text)
	return true, err
}
