package pool

import "golang.org/x/sys/unix"

// pollPeerEnd is the event that the peer has sent its FIN.
const pollPeerEnd = unix.POLLRDHUP
