//go:build !race

package test

// raceDetector tells how the stories were built.
const raceDetector = false
