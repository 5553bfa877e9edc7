package tcpproxy

import "moonbridge/handler/upstream"

// choose calls To, which looks at what clients have sent: a panic in it ends their connection alone.
func (s *session) choose() (set *upstream.Set, err error) {
	defer func() {
		if cause := recover(); cause != nil {
			s.p.panics.Log("tcpproxy.Config.To", cause)
			err = ErrPanic
		}
	}()
	if set = s.p.config.To(&s.about); set == nil {
		return nil, ErrNoService
	}
	return set, nil
}

// tellEnded calls Ended.
func (s *session) tellEnded(e *Ended) {
	defer func() {
		if cause := recover(); cause != nil {
			s.p.panics.Log("tcpproxy.Config.Ended", cause)
		}
	}()
	s.p.config.Ended(e)
}
