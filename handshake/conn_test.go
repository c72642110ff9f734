package handshake

import (
	"crypto/tls"
	"testing"

	"postern/sessionticket"
)

// handshakes are those that end well, and what a server's transcript tells of them.
var handshakes = []struct {
	name    string
	policy  sessionticket.Policy
	change  func(server, client *tls.Config)
	resumed bool
	want    string
}{
	{
		name: "full, ticket as crypto/tls sends it", policy: sessionticket.Stock,
		want: `
		> CH
		< SH CCS EE? Cert? CV? Fin? Ticket?!
		> CCS Fin? Data?
		< Data?
		< Alert?
		closed by server, completed true, spoke`,
	}, {
		name: "full, ticket with the first reply",
		want: `
		> CH
		< SH CCS EE? Cert? CV? Fin?
		> CCS Fin? Data?
		< Ticket? Data?
		< Alert?
		closed by server, completed true, spoke`,
	}, {
		name: "full, no ticket", policy: sessionticket.Never,
		want: `
		> CH
		< SH CCS EE? Cert? CV? Fin?
		> CCS Fin? Data?
		< Unknown
		< Alert?
		closed by server, completed true, spoke`,
	}, {
		name: "client that has no use for tickets", policy: sessionticket.Stock,
		change: func(_, client *tls.Config) { client.ClientSessionCache = nil },
		want: `
		> CH
		< SH CCS EE? Cert? CV? Fin?
		> CCS Fin? Data?
		< Data?
		< Alert?
		closed by server, completed true, spoke`,
	}, {
		name: "resumed, ticket as crypto/tls sends it", policy: sessionticket.Stock, resumed: true,
		want: `
		> CH
		< SH CCS EE? Fin? Ticket?!
		> CCS Fin? Data?
		< Data?
		< Alert?
		closed by server, completed true, spoke`,
	}, {
		name: "resumed, ticket with the first reply", resumed: true,
		want: `
		> CH
		< SH CCS EE? Fin?
		> CCS Fin? Data?
		< Ticket? Data?
		< Alert?
		closed by server, completed true, spoke`,
	}, {
		name: "HelloRetryRequest", policy: sessionticket.Stock,
		change: func(server, _ *tls.Config) { server.CurvePreferences = []tls.CurveID{tls.CurveP521} },
		want: `
		> CH
		< HRR
		< CCS
		> CCS CH
		< SH EE? Cert? CV? Fin? Ticket?!
		> Fin? Data?
		< Data?
		< Alert?
		closed by server, completed true, spoke`,
	}, {
		name: "client certificate asked for and not given", policy: sessionticket.Stock,
		change: func(server, _ *tls.Config) { server.ClientAuth = tls.RequestClientCert },
		want: `
		> CH
		< SH CCS EE? CR? Cert? CV? Fin?
		> CCS Cert? Fin?
		< Ticket?
		> Data?
		< Data?
		< Alert?
		closed by server, completed true, spoke`,
	}, {
		name: "client certificate", policy: sessionticket.FirstWrite,
		change: func(server, client *tls.Config) {
			server.ClientAuth = tls.RequestClientCert
			client.Certificates = server.Certificates
		},
		want: `
		> CH
		< SH CCS EE? CR? Cert? CV? Fin?
		> CCS Cert? CV? Fin? Data?
		< Ticket? Data?
		< Alert?
		closed by server, completed true, spoke`,
	}, {
		name: "chain of more than one record", policy: sessionticket.Stock,
		change: func(server, _ *tls.Config) {
			pair := server.Certificates[0]
			for range 60 {
				pair.Certificate = append(pair.Certificate, pair.Certificate[0])
			}
			server.Certificates = []tls.Certificate{pair}
		},
		want: `
		> CH
		< SH CCS EE? Cert? CV? Fin? Ticket?!
		> CCS Fin? Data?
		< Data?
		< Alert?
		closed by server, completed true, spoke`,
	}, {
		name:   "TLS 1.2",
		change: func(server, _ *tls.Config) { server.MaxVersion = tls.VersionTLS12 },
		want: `
		> CH
		< SH Cert SKE SHD
		> CKE CCS Fin?
		< Ticket CCS Fin?
		> Data
		< Data
		< Alert
		closed by server, completed true, spoke`,
	}, {
		name: "TLS 1.2 resumed", resumed: true,
		change: func(server, _ *tls.Config) { server.MaxVersion = tls.VersionTLS12 },
		want: `
		> CH
		< SH Ticket CCS Fin?
		> CCS Fin? Data
		< Data
		< Alert
		closed by server, completed true, spoke`,
	}, {
		name: "TLS 1.0 with CBC",
		change: func(server, client *tls.Config) {
			server.MinVersion, server.MaxVersion = tls.VersionTLS10, tls.VersionTLS10
			client.MinVersion = tls.VersionTLS10
		},
		want: `
		> CH
		< SH Cert SKE SHD
		> CKE CCS Fin?
		< Ticket CCS Fin?
		> Data
		< Data
		< Alert
		closed by server, completed true, spoke`,
	},
}

func TestServerTellsItsHandshakes(t *testing.T) {
	for _, test := range handshakes {
		t.Run(test.name, func(t *testing.T) {
			serverConfig, clientConfig := configs(t)
			if test.change != nil {
				test.change(serverConfig, clientConfig)
			}
			server := newServer(serverConfig, test.policy)
			if test.resumed {
				server.talk(t, clientConfig)
			}
			transcript := server.talk(t, clientConfig)
			checkOutline(t, transcript, test.want)
			if transcript.Choice.Resumed != test.resumed {
				t.Errorf("resumed: %v, want %v", transcript.Choice.Resumed, test.resumed)
			}
			for _, m := range transcript.Messages {
				if m.Type == Finished && transcript.Choice.Version < VersionTLS13 && m.Size != finishedLen12 {
					t.Errorf("a Finished of %d bytes", m.Size)
				}
			}
		})
	}
}
