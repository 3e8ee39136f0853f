package broker

import (
	"context"
	"testing"
	"time"
)

// A vigil without reads parks, and costs nothing until the next one; each read of a connection calls it back.
func TestVigilParksAndIsCalledBack(t *testing.T) {
	t.Setenv("GOMAXPROCS", "")
	v := newVigil()
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() { v.run(ctx); close(ended) }()
	awaitParked := func() {
		t.Helper()
		for deadline := time.Now().Add(20 * time.Second); !v.parked.Load(); time.Sleep(time.Millisecond) {
			if time.Now().After(deadline) {
				t.Fatal("it does not park")
			}
		}
	}
	awaitParked()
	v.touch()
	if v.parked.Load() {
		t.Fatal("a read does not call it back")
	}
	awaitParked()
	cancel()
	<-ended
}
