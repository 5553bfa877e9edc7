package engine

// DefaultLimits returns the limits that hold for the fields of Limits that are 0.
func DefaultLimits() Limits {
	return Limits{
		HeadBytes:   headBytesDefault,
		BodyBytes:   bodyBytesDefault,
		BufferBody:  bufferBodyDefault,
		OutputBytes: outputBytesDefault,
		Overlap:     overlapDefault,

		IdleTimeout:     idleTimeoutDefault,
		HeadTimeout:     headTimeoutDefault,
		StallTimeout:    stallTimeoutDefault,
		ResponseTimeout: responseTimeoutDefault,
		DrainTimeout:    drainTimeoutDefault,
	}
}
