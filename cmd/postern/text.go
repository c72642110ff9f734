package main

import "time"

// localTime is t with its zone: an administrator compares it with other logs.
func localTime(t time.Time) string { return t.Local().Format("2006-01-02 15:04:05 MST") }
