package proxy

import (
	"moonbridge/handler/upstream"
	"moonbridge/httpparse"
)

// The functions of the Config, and the key of a Hash, are called here. They work on what clients and targets have sent, so a panic in
// one of them fails its request alone. Nothing of the proxy is in between when they run.

// choose calls To and Edit.
func (e *exchange) choose() (set *upstream.Set, err error) {
	name := "proxy.Config.To"
	defer e.caught(&name, &err)
	c, q := e.l.config, &e.request
	set = c.To(q)
	if q.refuse == 0 && set != nil && c.Edit != nil {
		name = "proxy.Config.Edit"
		c.Edit(q)
	}
	return set, nil
}

// chooseKey asks the balancer for the key of the request.
func (e *exchange) chooseKey(h *httpparse.Head) (err error) {
	name := "upstream.LoopBalancer.Key"
	defer e.caught(&name, &err)
	e.key = e.service.picker.Key(h)
	return nil
}

// asked calls Answer.
func (e *exchange) asked(p *Response) (err error) {
	name := "proxy.Config.Answer"
	defer e.caught(&name, &err)
	return e.l.config.Answer(&e.request, p)
}

// told calls Failed, if there is one. The status is 0 if that has panicked.
func (e *exchange) told(cause error) (status int) {
	if e.l.config.Failed == nil {
		return 0
	}
	name, err := "proxy.Config.Failed", error(nil)
	defer e.caught(&name, &err)
	return e.l.config.Failed(&e.request, cause)
}

// caught is deferred around a call of a function. It makes a panic the error ErrPanic.
func (e *exchange) caught(function *string, err *error) {
	if cause := recover(); cause != nil {
		e.l.config.panics.Log(*function, cause)
		*err = ErrPanic
	}
}
