//go:build !linux

package rawhttp

// pollPeerEnd is no event: there is none for a FIN behind bytes that are not read.
const pollPeerEnd = 0
