package route

import "moonbridge/handler/backend"

// What else the Exchange of an engine can do, a fed one can do too: the backend must not notice that its body was in a file.

// outward is what the backend gets.
func (f *fed) outward() backend.Exchange {
	if files, ok := f.Exchange.(backend.FileSender); ok {
		return fedFiles{f, files}
	}
	return f
}

// fedFiles is a fed whose connection sends ranges of files.
type fedFiles struct {
	*fed
	backend.FileSender
}

// TakesFiles implements backend.FileChooser.
func (f fedFiles) TakesFiles(rangeable bool) bool { return backend.TakesFiles(f.Exchange, rangeable) }

// TLS implements backend.Secured.
func (f *fed) TLS() *backend.TLSState { return backend.TLSOf(f.Exchange) }

// BodyReceived implements backend.BodyReceiver.
func (f *fed) BodyReceived() bool { return true }

// ConnValue implements backend.ConnKeeper.
func (f *fed) ConnValue() any { return backend.ConnValueOf(f.Exchange) }

// SetConnValue implements backend.ConnKeeper.
func (f *fed) SetConnValue(v any) { backend.SetConnValueOf(f.Exchange, v) }

// Stream implements backend.Streamer. What is left of the body is dropped: its file would take room in the spool for as long as the stream.
func (f *fed) Stream(r backend.Running) {
	f.close()
	f.running = r
	backend.BeginStream(f.Exchange, fedRunning{f})
}

// Pending implements backend.Streamer.
func (f *fed) Pending() int64 { return backend.PendingOf(f.Exchange) }

var _ backend.Streamer = (*fed)(nil)
