package main

// Where the system has no certificates of authorities, as in the container image, those that
// Mozilla trusts verify next hops, and the servers of MTA-STS policies, ACME and webhooks.
import _ "golang.org/x/crypto/x509roots/fallback"
