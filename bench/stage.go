package main

import (
	"context"
	"os"
	"time"

	"postern/internal/testpeer"
)

// stage is where the peers of one section play. What is started on it ends with the
// section.
type stage = testpeer.Stage

// play runs a section on a stage of its own and ends all that it started.
// An error, returned or thrown by a peer, is the section's.
func play(section func(*stage) error) error {
	return testpeer.Play(context.Background(), os.Stderr, nil, section)
}

// await polls until ready returns nil, and gives its last error when the time is up.
func await(ready func() error) error {
	const limit, pause = 60 * time.Second, 20 * time.Millisecond
	for end := time.Now().Add(limit); ; time.Sleep(pause) {
		err := ready()
		if err == nil || time.Now().After(end) {
			return err
		}
	}
}
