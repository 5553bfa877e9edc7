package pool

// Pressed implements backend.Pressable: there are more exchanges than the pool may ever have workers for. If there are fewer, but
// some wait, the pool grows.
func (l *loop) Pressed() bool { return l.p.inFlight.Load() > int64(l.p.spec.Options.MaxFork) }
