// Package persona plays the clients that fail at mail servers, and healthy ones.
//
// A [Persona] does what the reports of a case of package interop say that some client
// did, or what most senders do. It visits a server, tries to get in over TLS, and says
// how far it came:
//
//	p, _ := persona.Find("early-ticket")
//	visit := p.Visit(ctx, persona.Target{Addr: "mx.example.org:25", EHLO: "probe.example.org"})
//	fmt.Println(visit.In, visit.Stage, visit.Err)
//
// A persona is no vendor's client and shows none: one that has a library's name in its
// ID sends a ClientHello of that shape. It is deterministic but for the random bytes of
// TLS. A visit to a healthy server before and after tells a server that was down from
// one where this client fails.
//
// # Limits
//
// A visit takes at most 45 s, or what its context allows. It reads lines of at most
// 2,048 bytes, and replies of at most 100 lines; in the handshake crypto/tls has bounds of
// its own, 256 KiB for a chain of certificates. Of a connection at most 256 KiB are
// opened with the persona's own keys, which nobody else gets.
//
// Personas say EHLO and QUIT. They send a message only if [Target.Deliver] is set.
//
// A shape of OpenSSL, GnuTLS or Schannel offers no more than utls can do, and brings one
// key. Where it meets a HelloRetryRequest it does not resume: see [Persona.Return].
//
// # Sources
//
//   - RFC 3207 (STARTTLS), RFC 8446 (TLS 1.3); each persona names those of its own
//   - the cases of package interop, with the reports
package persona
