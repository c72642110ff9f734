package server

import (
	"cmp"

	"postern/internal/config"
	"postern/internal/dashboard"
	"postern/internal/logkey"
	"postern/internal/nexthop/relay"
	"postern/internal/smtpd"
	"postern/internal/web"
)

// reservedDescriptors are those of the ledger, the listeners, certificates that are read,
// DNS queries, scrapes, senders that are refused, and the like.
const reservedDescriptors = 300

// ConnectionsWithin returns how many sessions so many descriptors are enough for. Each has
// one for the sender, and in a message one for the file, unless messages go to a server: the
// connections to that have a limit of their own.
func ConnectionsWithin(descriptors int, c *config.Config) int {
	others := reservedDescriptors
	if len(c.Web.Listen)+len(c.Web.ListenPlain) > 0 {
		others += web.MaxConnections
	}
	if c.Dashboard.Listen != config.Off {
		others += dashboard.MaxConnections
	}
	each := 2
	if c.NextHop != nil {
		others += cmp.Or(c.NextHop.Connections, relay.DefaultConnections)
		each = 1
	}
	return max(descriptors-others, descriptors/2, each) / each
}

// limits are those of the configuration, with no more connections than the descriptors are
// enough for: a connection that cannot be accepted gets no answer, one over a limit does.
func (s *Server) limits(descriptors int) smtpd.Limits {
	l := s.config.Limits
	configured := cmp.Or(l.Total.Connections, smtpd.DefaultLimits.Total.Connections)
	if fit := ConnectionsWithin(descriptors, s.config); fit < configured {
		l.Total.Connections = fit
		s.log.Info("limit of open files allows fewer connections",
			logkey.Descriptors, descriptors, logkey.Connections, fit, logkey.Configured, configured)
	}
	return l
}
