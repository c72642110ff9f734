package persona

var healthyGo = Persona{
	ID:      "healthy-go",
	Does:    "Offers what crypto/tls offers by itself, takes tickets and any certificate",
	Healthy: true,
}
