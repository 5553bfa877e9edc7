package worker

// #include "socket.h"
// static int looks, falls;
// static int fake_unacknowledged(int fd) { looks++; return falls > 0 ? falls-- : 0; }
// static int send_patiently(int fd, char *p, size_t n, double patience, int times)
// {
// 	looks = 0;
// 	falls = times;
// 	return mb_send_patiently(fd, p, n, patience, fake_unacknowledged);
// }
// static int look_count(void) { return looks; }
import "C"

import "time"

// sendPatiently is mb_send_patiently with a peer that acknowledges something so many times, for the test: test files cannot contain C.
// looks is how often it was looked at.
func sendPatiently(fd int, text string, patience time.Duration, times int) (looks int, err error) {
	p := C.CString(text) // never freed: a test calls this a few times
	_, err = C.send_patiently(C.int(fd), p, C.size_t(len(text)), C.double(patience.Seconds()), C.int(times))
	return int(C.look_count()), err
}
