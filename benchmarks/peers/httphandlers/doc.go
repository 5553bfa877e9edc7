// Package httphandlers contains the handlers of the comparison for net/http. The peer nethttp serves them with net/http's own
// server, the peer adapter on the event loops of Moonbridge's engine.
package httphandlers
