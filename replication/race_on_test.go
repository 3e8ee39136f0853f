//go:build race

package replication

// raceEnabled is true under the race detector, whose own allocations must not count.
const raceEnabled = true
