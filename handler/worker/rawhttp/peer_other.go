//go:build !linux

package rawhttp

// pollPeerEnd is no event: there is none for a FIN after unread bytes.
const pollPeerEnd = 0
