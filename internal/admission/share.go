package admission

// Shares are how a server's means are shared out.
type Shares struct {
	Total      Share // what all clients may have at once
	PerNetwork Share // what the clients of one IPv4 /24 or IPv6 /48 may have
}

// A Share is a part of the server's means.
type Share struct {
	Connections int     // open at once
	Starts      float64 // TLS handshakes, or requests, a second; ten seconds' worth may come at once
	Bytes       float64 // of what clients send, a second; ten minutes' worth may come at once
}
