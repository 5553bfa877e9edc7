package main

import (
	"moonbridge/cmd/mbserve/metrics"
	"moonbridge/handler/channel"
)

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

func (a *adminSide) writeChannels(w *metrics.Writer) {
	st := a.s.channels.Stats()
	w.Gauge("moonbridge_channels", "Channels that exist.", float64(st.Channels))
	w.Gauge("moonbridge_channel_subscribers", "Connections that subscribe to channels.", float64(st.Subscribers))
	w.Counter("moonbridge_channel_messages_total", "Messages that were published.", float64(st.Messages))
	w.Counter("moonbridge_channel_deliveries_total", "Messages times their subscribers.", float64(st.Deliveries))
	w.Counter("moonbridge_channel_refused_total", "Messages that were not published, because too many waited.", float64(st.Refused))
	w.Counter("moonbridge_channel_slow_total", "Subscribers that were ended because they did not take their messages.", float64(st.Slow))
	w.Gauge("moonbridge_channel_history_bytes", "Memory of all histories.", float64(st.History))
	w.Gauge("moonbridge_channel_waiting_bytes", "Memory of the messages that wait for loops.", float64(a.s.channels.Waiting()))
}
