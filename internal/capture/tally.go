package capture

// A Tally counts what a capture holds, so that what was not read is told.
type Tally struct {
	Packets     int // all
	OtherLink   int // those of a link type that is not read
	OtherPacket int // those that are not TCP over IP
	Fragments   int // of IP packets; they are not put together
	Broken      int // those whose headers do not parse, or were cut
	Connections int // of TCP
	Crowded     int // those given up at their last packet so far, since others needed the room
}

// note counts a packet that is no segment.
func (t *Tally) note(why error) {
	switch why {
	case errLink:
		t.OtherLink++
	case errFragment:
		t.Fragments++
	case errBroken:
		t.Broken++
	default:
		t.OtherPacket++
	}
}
