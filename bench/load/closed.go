package load

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"time"
)

// Lane is what one connection sends, in turn.
type Lane struct {
	Addr   string
	Frames [][]byte
	Bytes  int // of record batches in one request

	// An idempotent producer's id, when Sequence is not nil: then every frame holds one batch, at its end, and Sequence counts the records sent with
	// each frame.
	ProducerID int64
	Records    int32
	Sequence   []int32
}

// Closed keeps Depth requests in flight on a connection for each lane.
type Closed struct {
	Lanes     []Lane
	Depth     int
	Latencies bool // keep how long every request took
}

// Result is what a load has done.
type Result struct {
	Requests  int
	Bytes     int64 // of record batches
	Took      time.Duration
	Latencies []time.Duration // of every request, when they were to be kept
}

// Rate is the number of requests answered per second.
func (r Result) Rate() float64 { return float64(r.Requests) / r.Took.Seconds() }

// Requests sends n requests in all and waits for their answers.
func (c Closed) Requests(ctx context.Context, n int) (Result, error) {
	var left atomic.Int64
	left.Store(int64(n))
	return c.run(ctx, func() bool { return left.Add(-1) >= 0 })
}

// Send sends so many bytes of record batches, and as many more as the last request holds.
func (c Closed) Send(ctx context.Context, bytes int64) (Result, error) {
	return c.Requests(ctx, int(bytes/int64(c.Lanes[0].Bytes))+1)
}

// For sends requests for d.
func (c Closed) For(ctx context.Context, d time.Duration) (Result, error) {
	end := time.Now().Add(d)
	return c.run(ctx, func() bool { return time.Now().Before(end) })
}

func (c Closed) run(ctx context.Context, more func() bool) (Result, error) {
	return Together(len(c.Lanes), func(i int) (Result, error) { return c.connection(ctx, &c.Lanes[i], more) })
}

// connection sends a lane's frames while more says so.
func (c Closed) connection(ctx context.Context, l *Lane, more func() bool) (Result, error) {
	var done Result
	conn, err := Dial(ctx, l.Addr)
	if err != nil {
		return done, err
	}
	defer conn.Close()
	in, buf, sent := bufio.NewReaderSize(conn, 64<<10), []byte(nil), make([]time.Time, c.Depth)
	for next, inFlight := 0, 0; ; {
		for inFlight < c.Depth && ctx.Err() == nil && more() {
			if c.Latencies {
				sent[next%c.Depth] = time.Now()
			}
			if err := l.send(conn, next%len(l.Frames)); err != nil {
				return done, err
			}
			next++
			inFlight++
		}
		if inFlight == 0 {
			return done, ctx.Err()
		}
		body, err := ReadFrame(in, &buf)
		if err != nil {
			return done, err
		}
		if code, _ := ProduceAnswer(body); code != 0 {
			return done, fmt.Errorf("produce answered error %d", code)
		}
		if c.Latencies {
			done.Latencies = append(done.Latencies, time.Since(sent[(next-inFlight)%c.Depth]))
		}
		inFlight--
		done.Requests++
		done.Bytes += int64(l.Bytes)
	}
}

// send writes one frame, an idempotent producer's with its next sequence number.
func (l *Lane) send(conn net.Conn, i int) error {
	frame := l.Frames[i]
	if l.Sequence != nil {
		identify(frame[len(frame)-l.Bytes:], l.ProducerID, l.Sequence[i])
		l.Sequence[i] += l.Records
	}
	_, err := conn.Write(frame)
	return err
}

// Plus adds what another load has done after this one.
func (r Result) Plus(other Result) Result {
	r.Requests += other.Requests
	r.Bytes += other.Bytes
	r.Took += other.Took
	r.Latencies = append(r.Latencies, other.Latencies...)
	return r
}

// Together runs n loads at once and sums up what they did.
func Together(n int, f func(i int) (Result, error)) (Result, error) {
	results, errs := make([]Result, n), make([]error, n)
	begun := time.Now()
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() { results[i], errs[i] = f(i) })
	}
	wg.Wait()
	var total Result
	for _, r := range results {
		total = total.Plus(r)
	}
	total.Took = time.Since(begun)
	return total, errors.Join(errs...)
}
