//go:build !linux

package pool

// pollPeerEnd is no event: there is none for a FIN behind bytes that are not read. Only the end of both directions is seen.
const pollPeerEnd = 0
