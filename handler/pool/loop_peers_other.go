//go:build !linux

package pool

// pollPeerEnd is no event: there is none for a FIN after unread bytes. Only the end of both directions is seen.
const pollPeerEnd = 0
