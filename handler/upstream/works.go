package upstream

// Works says that a server is up, although its request is not over: a connection or a response that lasts may not end for hours. A trial
// of the server has succeeded with that.
func (v *Server) Works(now int64) {
	if v.health.troubled.Load() {
		v.succeeded(now)
		v.set.queue.becomesFree()
	}
}
