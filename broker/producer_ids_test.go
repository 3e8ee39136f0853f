package broker

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"gregor/protocol"
)

// blocks hands out blocks of ten ids, each after a delay.
func blocks(life context.Context, delay time.Duration, fetched *atomic.Int64) *producerIDs {
	return &producerIDs{life: life, failed: func(error) {}, allocate: func(ctx context.Context) (idBlock, error) {
		time.Sleep(delay)
		first := fetched.Add(1) * 10
		return idBlock{first, first + 10}, nil
	}}
}

func TestProducerIDsAreNeverGivenTwice(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var fetched atomic.Int64
		p := blocks(t.Context(), time.Millisecond, &fetched)
		ids := make(chan int64)
		for range 50 {
			go func() {
				id, code := p.next(t.Context())
				if code != protocol.None {
					t.Error(code)
				}
				ids <- id
			}()
		}
		seen := make(map[int64]bool)
		for range 50 {
			id := <-ids
			if seen[id] {
				t.Errorf("id %d twice", id)
			}
			seen[id] = true
		}
		time.Sleep(time.Second) // lets the last prefetch end
	})
}

func TestProducerIDsPrefetch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var fetched atomic.Int64
		p := blocks(t.Context(), 0, &fetched)
		for i := range 10 {
			id, code := p.next(t.Context())
			synctest.Wait()
			if id != int64(10+i) || code != protocol.None {
				t.Fatalf("id %d: %d, %v", i, id, code)
			}
			if want := int64(1 + i/9); fetched.Load() != want {
				t.Errorf("after id %d there were %d fetches, want %d", id, fetched.Load(), want)
			}
		}
	})
}

func TestProducerIDsWhileThereIsNoBlock(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var fetched atomic.Int64
		slow := blocks(t.Context(), 5*time.Second, &fetched)
		start := time.Now()
		if _, code := slow.next(t.Context()); code != protocol.CoordinatorLoadInProgress || time.Since(start) != producerIDWait {
			t.Errorf("a slow controller: %v after %v", code, time.Since(start))
		}
		time.Sleep(5 * time.Second)
		if id, code := slow.next(t.Context()); id != 10 || code != protocol.None || fetched.Load() != 1 {
			t.Errorf("after the block came: %d, %v, %d fetches", id, code, fetched.Load())
		}

		failures := 0
		broken := &producerIDs{life: t.Context(), failed: func(error) { failures++ }, allocate: func(context.Context) (idBlock, error) {
			return idBlock{}, errors.New("no controller")
		}}
		for i := 1; i <= 2; i++ {
			if _, code := broken.next(t.Context()); code != protocol.CoordinatorLoadInProgress || failures != i {
				t.Errorf("a failing controller: %v, %d failures", code, failures)
			}
		}
	})
}
