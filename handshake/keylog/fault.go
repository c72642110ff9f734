package keylog

// maxFaults bounds the list; a file that is no key log has nothing but faults.
const maxFaults = 16

// A Fault is a line of a key log that could not be read.
type Fault struct {
	Line int // counted from 1
	Why  string
}

// Faults returns the lines that could not be read, the first 16 of them, and how
// many more there were. What stood in a line is not told: it may be a secret.
func (l *Log) Faults() (faults []Fault, more int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return append([]Fault(nil), l.faults...), l.omitted
}

func (l *Log) fault(why string) {
	if len(l.faults) == maxFaults {
		l.omitted++
		return
	}
	l.faults = append(l.faults, Fault{l.lines.number, why})
}
