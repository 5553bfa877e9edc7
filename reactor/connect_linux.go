package reactor

import "golang.org/x/sys/unix"

// bindPortLater has bind leave the choice of the port to connect. Kernels before 4.2 do not know the option; then bind chooses.
func bindPortLater(fd int) { unix.SetsockoptInt(fd, unix.IPPROTO_IP, unix.IP_BIND_ADDRESS_NO_PORT, 1) }

// setUserTimeout is the option TCP_USER_TIMEOUT. A Unix socket does not have it, and does not need it.
func setUserTimeout(fd, ms int) { unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT, ms) }
