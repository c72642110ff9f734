// Package grpc has a gRPC server with the gate of package sessionticket. It is a module of its
// own, so that a server that imports the gate does not require the modules of gRPC.
package grpc

import (
	"crypto/tls"
	"net"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/health"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"

	"postern/sessionticket"
)

// Serve answers whether it is healthy. NewTLS adds its protocol to each config that the gate makes.
func Serve(listener net.Listener, config *tls.Config) error {
	gate := new(sessionticket.Gate)
	server := grpc.NewServer(grpc.Creds(credentials.NewTLS(gate.Config(config))))
	healthpb.RegisterHealthServer(server, health.NewServer())
	return server.Serve(gate.Listener(listener))
}
