package persona

import utls "github.com/refraction-networking/utls"

var p521First = Persona{
	ID:   "p521-first",
	Case: "group-mismatch",
	Does: "Prefers P-521 and brings a key for that alone, but can do with X25519 and P-256",
	shape: func(t Target) *utls.ClientHelloSpec {
		return with(openSSLShape(t),
			groups(utls.CurveP521, utls.X25519, utls.CurveP256),
			keyShares(utls.CurveP521))
	},
}
