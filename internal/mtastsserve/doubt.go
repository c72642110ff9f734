package mtastsserve

import (
	"crypto/x509"
	"errors"
	"fmt"
	"strings"

	"postern/internal/probe"
)

// A Doubt is why a policy should not say enforce.
type Doubt struct {
	Host    string
	Addr    string // the address with its port; empty: it is about the host
	Refused bool   // a sender that verifies would not deliver; else it could not be told
	Why     string
	Remedy  string
}

// same reports whether who knows a knows b. The words of the system hold ports that
// differ each time.
func same(a, b Doubt) bool {
	return a.Host == b.Host && a.Addr == b.Addr && a.Refused == b.Refused && a.Remedy == b.Remedy
}

func noRecords(domain string, err error) Doubt {
	return Doubt{
		Host: domain, Why: "its MX records cannot be had: " + short(err),
		Remedy: "publish them, or name a DNS server that knows them by resolver in [mta-sts]",
	}
}

func notNamed(host, domain string, patterns []string) Doubt {
	return Doubt{
		Host: host, Refused: true, Why: fmt.Sprintf("it is an MX host of %s, and mx %q does not name it", domain, patterns),
		Remedy: "add it to mx in [mta-sts], or take its MX record away",
	}
}

func unreachable(host, addr string, port uint16, err error) Doubt {
	return Doubt{
		Host: host, Addr: addr, Why: "it does not answer here: " + short(err),
		Remedy: fmt.Sprintf("let this machine reach port %d of it, as the world does; where it cannot, check by postern probe from elsewhere", port),
	}
}

// addressDoubt tells how the persona that verifies fared at an address; ok: it got in.
func addressDoubt(host string, a *probe.Address) (d Doubt, ok bool) {
	addr := a.Addr.String()
	if len(a.Visits) == 0 {
		return notSecured(host, a), false
	}
	switch v := a.Visits[0]; v.Fate {
	case probe.In:
		return Doubt{}, true
	case probe.Out:
		return complaint(host, addr, v.Err), false
	default:
		return unreachable(host, addr, a.Addr.Port(), v.Err), false
	}
}

// notSecured is about an address that did not come to TLS. The worst finding says why.
func notSecured(host string, a *probe.Address) Doubt {
	for _, f := range a.Findings {
		if f.ID == "no-starttls" || f.ID == "healthy" {
			return Doubt{
				Host: host, Addr: a.Addr.String(), Refused: true, Why: f.Title,
				Remedy: "let it offer STARTTLS with a certificate for " + host,
			}
		}
	}
	err := errors.New("it did not come to TLS")
	if len(a.Findings) > 0 {
		err = errors.New(strings.Join(append([]string{a.Findings[0].Title}, a.Findings[0].Evidence...), ": "))
	}
	return unreachable(host, a.Addr.String(), a.Addr.Port(), err)
}

// complaint is about a handshake that a client which verifies did not complete.
func complaint(host, addr string, err error) Doubt {
	d := Doubt{Host: host, Addr: addr, Refused: true, Why: short(err)}
	var name x509.HostnameError
	var authority x509.UnknownAuthorityError
	var invalid x509.CertificateInvalidError
	switch {
	case errors.As(err, &name):
		d.Remedy = "give it a certificate for " + host
	case errors.As(err, &authority):
		d.Remedy = "give it a certificate of an authority that all know, with its intermediates"
	case errors.As(err, &invalid):
		d.Remedy = "renew its certificate"
	default:
		d.Remedy = fmt.Sprintf("postern probe %s tells more", host)
	}
	return d
}

// maxWhy bounds a reason, in bytes: certificates can have any number of names.
const maxWhy = 500

// short shows an error. The log escapes what is in it.
func short(err error) string {
	text := strings.TrimPrefix(strings.TrimPrefix(err.Error(), "persona: "), "probe: ")
	return text[:min(len(text), maxWhy)]
}
