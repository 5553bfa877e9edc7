package handler

import "context"

// closeNotify is what is needed for a handler that has called CloseNotify.
type closeNotify struct {
	gone chan bool
	stop func() bool
}

// CloseNotify implements http.CloseNotifier, which is deprecated, but required by frameworks that stream (gin's Context.Stream). The channel
// gets one value when the context of the request ends while the handler is running: when the client goes.
func (hw *httpWriter) CloseNotify() <-chan bool {
	if hw.notify == nil {
		gone := make(chan bool, 1)
		hw.notify = &closeNotify{gone, context.AfterFunc(hw.ctx, func() { gone <- true })}
	}
	return hw.notify.gone
}
