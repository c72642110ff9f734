package probe

// A check looks at one thing in an exam.
type check func(*exam) []Finding

// checks are all of them, in the order in which findings of the same severity are
// told. Each has a file of its own.
var checks = []check{
	reachable,
	offered,
	masked,
	personas,
	executed,
	inClear,
	smugglable,
	delivered,
	ticketOrder,
	resumption,
	versions,
	certificate,
	chain,
	clientCertificate,
	steady,
}
