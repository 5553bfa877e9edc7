package main

import "moonbridge/handler/channel"

// declared implements pool.Config.Declared. The rules of the first script hold at once, since prepare may publish; those of another one
// when it takes over.
func (g *generation) declared(rules []channel.Rule) error {
	if len(rules) > channel.RulesMax {
		return channel.ErrRules
	}
	g.rules = rules
	if g.number == 0 {
		return g.s.channels.SetRules(rules)
	}
	return nil
}

// useRules makes the rules of the generation those of all channels.
func (g *generation) useRules() {
	if err := g.s.channels.SetRules(g.rules); err != nil {
		g.log.Error("rules of channels", "err", err) // each was checked when it was declared
	}
}

// logChannels logs the statistics of channels, if there are any.
func (s *server) logChannels() {
	st := s.channels.Stats()
	if st.Messages == 0 && st.Subscribers == 0 && st.Channels == 0 {
		return
	}
	s.log.Info("channels", "channels", st.Channels, "subscribers", st.Subscribers, "messages", st.Messages, "deliveries", st.Deliveries,
		"refused", st.Refused, "slow", st.Slow, "history", st.History, "waiting", s.channels.Waiting())
}
