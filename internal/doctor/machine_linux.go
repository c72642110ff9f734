package doctor

import "golang.org/x/sys/unix"

// clockSynchronised reports whether the kernel knows of something that keeps the clock right
// (adjtimex(2)).
func clockSynchronised() (synchronised, known bool) {
	var t unix.Timex
	if _, err := unix.Adjtimex(&t); err != nil {
		return false, false
	}
	return t.Status&unix.STA_UNSYNC == 0, true
}
