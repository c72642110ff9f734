package interop

// catalogue is all cases, in the order of the documentation. A case has a file of
// its own, named by its ID; a new one is added here by hand.
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
	&sslv2Hello,

	// Certificates and names.
	&certificateRefused,
	&leavesAfterHandshake,
	&unknownSNI,
	&clientCertificateAsked,

	// The SMTP around it.
	&inspectedByFirewall,
	&plaintextAfterSTARTTLS,
}
