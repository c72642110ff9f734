package server

import (
	"errors"
	"fmt"
	"reflect"
	"slices"

	"postern/internal/config"
	"postern/internal/ledger"
	"postern/internal/logkey"
)

// A loadedConfig is what the load of a configuration returned.
type loadedConfig struct {
	config *config.Config
	err    error
}

// reload applies the settings that can change while the server runs. If the new
// configuration has problems, or lacks what the current one has and mail depends on,
// the current one stays in use, and only the certificate files are read again.
func (s *Server) reload(next *config.Config, err error) {
	var problems config.Problems
	if err == nil {
		problems = s.config.MissingIn(next)
	} else {
		errors.As(err, &problems)
	}
	if len(problems) > 0 {
		first, more := config.First(problems)
		for _, p := range first {
			s.log.Error("cannot reload configuration; keeping current one", logkey.Err, p, logkey.Remedy, p.Remedy)
		}
		if more > 0 {
			s.log.Error("cannot reload configuration; keeping current one",
				logkey.Err, fmt.Sprintf("and %d more problems", more), logkey.Remedy, "postern serve --check lists them")
		}
		s.store.Reload()
		return
	}
	if keys := s.keepFixed(next); len(keys) > 0 {
		s.log.Warn("ignoring changed settings until restart", logkey.Keys, keys)
	}
	accepted := acceptedNow(s.config, next)
	s.config = next
	s.alarm.config.Store(next)
	s.level.Set(next.Log.Level)
	s.reloadCertificates()
	s.smtp.Apply(s.settings())
	s.policy.Apply(s.policies(next))
	s.web.Apply(s.routes())
	s.checks.Apply(s.selfChecks(next))
	s.noteEvent(ledger.Reloaded, "", "")
	s.log.Info("configuration reloaded", accepted...)
}

// acceptedNow returns the attributes that say for how many domains and recipients mail is accepted
// after a reload, and which of them come and go: with a wrong file, mail for many is refused for good.
func acceptedNow(before, now *config.Config) []any {
	attributes := []any{logkey.Domains, len(now.Domains)}
	if len(now.Recipients) > 0 {
		attributes = append(attributes, logkey.Recipients, len(now.Recipients))
	}
	added, removed := before.AcceptedIn(now)
	if len(added) > 0 {
		attributes = append(attributes, logkey.Added, config.Summary(added))
	}
	if len(removed) > 0 {
		attributes = append(attributes, logkey.Removed, config.Summary(removed))
	}
	return attributes
}

// keepFixed copies the settings that need a restart from the current
// configuration to next. It returns the keys of those that differ.
func (s *Server) keepFixed(next *config.Config) []string {
	now := s.config
	var keys []string
	note := func(key string, changed bool) {
		if changed {
			keys = append(keys, key)
		}
	}
	note("listen", !slices.Equal(now.Listen, next.Listen))
	note("listen-tls", !slices.Equal(now.ListenTLS, next.ListenTLS))
	note("proxy-protocol", !reflect.DeepEqual(now.ProxyProtocol, next.ProxyProtocol))
	note("xclient", !reflect.DeepEqual(now.XClient, next.XClient))
	note("web", !reflect.DeepEqual(now.Web, next.Web))
	note("dashboard", !reflect.DeepEqual(now.Dashboard, next.Dashboard))
	note("metrics", now.Metrics != next.Metrics)
	note("self-check.resolver", now.SelfCheck.Resolver != next.SelfCheck.Resolver)
	note("acme", !reflect.DeepEqual(now.ACME, next.ACME))
	note("data", now.Data != next.Data)
	note("next-hop", !reflect.DeepEqual(now.NextHop, next.NextHop))
	note("hostname for the next hop", now.NextHop != nil && now.Hostname != next.Hostname)
	note("mode", now.Mode != next.Mode)
	note("ledger", now.Ledger != next.Ledger)
	note("reports", !reflect.DeepEqual(now.Reports, next.Reports))
	note("alerts", !reflect.DeepEqual(now.Alerts, next.Alerts))
	note("fleet", !reflect.DeepEqual(now.Fleet, next.Fleet))
	note("log.format", now.Log.Format != next.Log.Format)
	note("log.addresses", now.Log.Addresses != next.Log.Addresses)
	next.Listen, next.ListenTLS, next.Data = now.Listen, now.ListenTLS, now.Data
	next.NextHop, next.Mode, next.Log.Format = now.NextHop, now.Mode, now.Log.Format
	next.Log.Addresses, next.Dashboard = now.Log.Addresses, now.Dashboard
	next.ProxyProtocol, next.XClient = now.ProxyProtocol, now.XClient
	next.Metrics, next.Alerts, next.Fleet = now.Metrics, now.Alerts, now.Fleet
	next.SelfCheck.Resolver = now.SelfCheck.Resolver
	next.Ledger, next.Web, next.ACME, next.Reports = now.Ledger, now.Web, now.ACME, now.Reports
	return keys
}

func (s *Server) reloadCertificates() {
	pairs, err := s.findPairs(s.config)
	if err == nil && slices.Equal(pairs, s.pairs) {
		s.store.Reload()
		return
	}
	if err == nil {
		err = s.store.Replace(pairs)
	}
	if err != nil {
		s.log.Error("cannot reload certificates; keeping current ones", logkey.Err, err)
		return
	}
	s.pairs = pairs
}
