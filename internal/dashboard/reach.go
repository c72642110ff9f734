package dashboard

import (
	"net/http"
	"net/netip"
	"net/url"
	"strings"

	"postern/internal/config"
	"postern/internal/web"
)

// MaxForm bounds the body of a request, in bytes.
const MaxForm = 64 << 10

// reached lets requests through that came by a name of ours, from an address that may connect.
//
// A page of another site can make its own name point to 127.0.0.1, and then its requests come
// from the operator's browser (DNS rebinding). They have that name in their Host field.
func (d *Dashboard) reached(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		peer := peerOf(r)
		switch host := web.CanonicalHost(r.Host); {
		case r.TLS == nil && !peer.IsLoopback() && !d.isProxy(peer):
			http.Error(w, "Only the reverse proxies of the setting proxies may connect here.", http.StatusForbidden)
		case d.forwarded(r) && host != d.proxyHost:
			http.Error(w, "The reverse proxy has to pass the Host field on, with the host of the setting url.", http.StatusMisdirectedRequest)
		case !d.named(host):
			http.Error(w, "The dashboard has another name. Use its address, or set host or url in [dashboard].", http.StatusMisdirectedRequest)
		default:
			r.Body = http.MaxBytesReader(w, r.Body, MaxForm)
			next.ServeHTTP(w, r)
		}
	})
}

// named reports whether a host is one of ours. No site can make an address point elsewhere.
func (d *Dashboard) named(host string) bool {
	if _, err := netip.ParseAddr(strings.Trim(host, "[]")); err == nil {
		return true
	}
	return host == "localhost" || host != "" && (host == d.Access.Host || host == d.proxyHost)
}

// forwarded reports whether a reverse proxy passes the request on.
func (d *Dashboard) forwarded(r *http.Request) bool {
	return d.proxyHost != "" && r.TLS == nil && d.isProxy(peerOf(r)) && r.Header.Get("X-Forwarded-For") != ""
}

// isProxy reports whether an address is of a reverse proxy: by default, of any on this machine.
func (d *Dashboard) isProxy(peer netip.Addr) bool {
	for _, proxy := range d.Access.Proxies {
		if proxy.Contains(peer) {
			return true
		}
	}
	return len(d.Access.Proxies) == 0 && peer.IsLoopback()
}

// client returns the address that a request comes from. Only reverse proxies are believed when
// they name another: the last one that is not a proxy itself.
func (d *Dashboard) client(r *http.Request) netip.Addr {
	last := peerOf(r)
	if !d.forwarded(r) {
		return last
	}
	hops := strings.Split(strings.Join(r.Header.Values("X-Forwarded-For"), ","), ",")
	for i := len(hops) - 1; i >= 0 && d.isProxy(last); i-- {
		hop, err := netip.ParseAddr(strings.TrimSpace(hops[i]))
		if err != nil {
			break
		}
		last = hop.Unmap()
	}
	return last
}

// encrypted reports whether the browser's connection is.
func (d *Dashboard) encrypted(r *http.Request) bool {
	return r.TLS != nil || d.proxyHost != "" && web.CanonicalHost(r.Host) == d.proxyHost
}

func peerOf(r *http.Request) netip.Addr {
	peer, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil {
		return netip.Addr{}
	}
	return peer.Addr().Unmap().WithZone("")
}

// proxyHostOf returns the host by which browsers reach the reverse proxy, empty if there is none.
func proxyHostOf(access config.Dashboard) string {
	u, err := url.Parse(access.URL)
	if err != nil {
		return ""
	}
	return strings.ToLower(u.Hostname())
}
