package persona

// catalogue is all personas. A persona has a file of its own, named by its ID; a new
// one is added here by hand.
var catalogue = []*Persona{
	&healthyGo,
	&healthyOpenSSL,
	&healthyGnuTLS,
	&healthySchannel,

	// Tickets.
	&earlyTicket,
	&ticketAfterFinished,
	&ticketSurprisesClient,
	&largeTicket,
	&ticketWithoutPSKModes,

	// Versions, suites, groups, signatures.
	&tls12Only,
	&tls10Only,
	&fallsBackToPlaintext,
	&rsaOnlyClient,
	&sha1SignaturesOnly,
	&groupMismatch,
	&p521First,
	&helloRetry,
	&helloRetryRefused,
	&bigHello,
	&bigHelloSplit,
	&bigHelloBytes,

	// Certificates and names.
	&certificateRefused,
	&clientCertificateAsked,
	&unknownSNI,
	&noSNI,
	&sniTrailingDot,
	&sniAddress,

	// The SMTP around it.
	&plaintextAfterSTARTTLS,
}
