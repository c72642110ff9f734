package interop

import "slices"

// Cases returns all cases in the order of the documentation. The cases are shared: do not
// change them.
func Cases() []*Case { return slices.Clone(catalogue) }

// Find returns the case with the given ID.
func Find(id string) (*Case, bool) {
	i := slices.IndexFunc(catalogue, func(c *Case) bool { return c.ID == id })
	if i < 0 {
		return nil, false
	}
	return catalogue[i], true
}

// catalogue lists all cases in the order of the documentation. Each has a file named
// after its ID; add new ones here.
var catalogue = []*Case{
	// Tickets and sessions.
	&earlyTicket,
	&ticketAfterFinished,
	&ticketSurprisesClient,
	&largeTicket,
	&schannelTLS12Ticket,
	&cachedSessionAlert,
	&everyOtherConnection,

	// Versions, suites, groups, signatures.
	&tls10Only,
	&noSharedSuite,
	&rsaOnlyClient,
	&sha1SignaturesOnly,
	&groupMismatch,
	&helloRetryRefused,
	&bigHello,
	&mlDSAHello,
	&sslv2Hello,

	// The network between.
	&flightDidNotArrive,

	// Certificates and names.
	&certificateRefused,
	&leavesAfterHandshake,
	&unknownSNI,
	&clientCertificateAsked,

	// Around STARTTLS.
	&inspectedByFirewall,
	&plaintextAfterSTARTTLS,
	&tlsWithoutSTARTTLS,
}
