//go:build !linux

package durable

func hasUnnamed(string) bool { return false }
