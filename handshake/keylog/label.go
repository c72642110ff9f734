package keylog

// A label says what a secret is for (RFC 9850, Section 2.1).
type label uint8

// The labels whose secrets open records.
const (
	clientHandshake label = iota
	clientApplication
	serverHandshake
	serverApplication
	labels // how many there are
)

var labelNames = [labels]string{
	clientHandshake:   "CLIENT_HANDSHAKE_TRAFFIC_SECRET",
	clientApplication: "CLIENT_TRAFFIC_SECRET_0",
	serverHandshake:   "SERVER_HANDSHAKE_TRAFFIC_SECRET",
	serverApplication: "SERVER_TRAFFIC_SECRET_0",
}

// labelOf returns the label called name, or labels if it is none of these.
func labelOf(name []byte) label {
	for l, known := range labelNames {
		if known == string(name) {
			return label(l)
		}
	}
	return labels
}
