package server

import "math"

// openFiles returns how many handles the process may have: memory is the limit.
func openFiles() int { return math.MaxInt }
