package persona

// catalogue is all personas. A persona has a file of its own, named by its ID; a new
// one is added here by hand.
var catalogue = []*Persona{
	&healthyGo,
	&earlyTicket,
	&tls12Only,
	&plaintextAfterSTARTTLS,
}
