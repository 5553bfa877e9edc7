package pool

import "moonbridge/handler/shm"

// purge removes from caches what the worker says is out of date, and tells it when that is done: the handler waits, so that its
// client does not get an old response to its next request.
func (w *Worker) purge(body []byte) error {
	if len(body) == 0 || len(body) > 1+shm.PurgeMax || body[0] != shm.PurgeKey && body[0] != shm.PurgePrefix {
		return errMessage
	}
	if purge := w.fs.h.cfg.Purge; purge != nil {
		purge(string(body[1:]), body[0] == shm.PurgePrefix)
	}
	w.ask(shm.CtlPurged)
	return nil
}
