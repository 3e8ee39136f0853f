package load

import (
	"context"
	"errors"
	"time"
)

// tailWaitMs is how long a consumer at the end of a partition lets the broker wait for the next record, Kafka's default.
const tailWaitMs = 500

// SendOnce sends one Produce request and returns the offset that its batch got.
func SendOnce(ctx context.Context, addr string, frame []byte) (int64, error) {
	s, err := openBlocking(ctx, addr)
	if err != nil {
		return 0, err
	}
	defer s.close()
	return s.produce(frame)
}

// EndToEnd sends as Run does while a consumer waits for each record, and returns the times from the moment at which a record was due to be sent until the
// consumer had it. The requests must hold one record each, for partition 0 of the topic, which nobody else writes to.
func (p Paced) EndToEnd(ctx context.Context, topic string) ([]time.Duration, error) {
	last, err := SendOnce(ctx, p.Addr, p.Frame) // what is measured comes behind it
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	begun := time.Now().Add(50 * time.Millisecond)
	sent := make(chan error, 1)
	go func() {
		_, err := onThread(func() ([]time.Duration, error) { return p.run(ctx, begun) })
		if err != nil {
			cancel()
		}
		sent <- err
	}()
	took, err := onThread(func() ([]time.Duration, error) { return p.consume(ctx, topic, last+1, begun) })
	if err != nil {
		cancel()
	}
	return took, errors.Join(err, <-sent)
}

func (p Paced) consume(ctx context.Context, topic string, next int64, begun time.Time) ([]time.Duration, error) {
	s, err := openBlocking(ctx, p.Addr)
	if err != nil {
		return nil, err
	}
	defer s.close()
	took := make([]time.Duration, 0, p.Count)
	for len(took) < p.Count && ctx.Err() == nil {
		if err := s.write(FetchFrame(topic, 0, []int64{next}, 1<<20, tailWaitMs)); err != nil {
			return nil, err
		}
		body, err := s.read()
		if err != nil {
			return nil, err
		}
		now := time.Now()
		_, err = Batches(body, func(_ int32, batch []byte) error {
			next = NextOffset(batch)
			took = append(took, now.Sub(p.due(begun, len(took))))
			return nil
		})
		if err != nil {
			return nil, err
		}
	}
	return took, ctx.Err()
}

// Follow reads partition 0 of a topic from an offset on as a consumer at its end does, until ctx ends, and returns the bytes of record data it got.
func Follow(ctx context.Context, addr, topic string, offset int64) (int64, error) {
	c, err := Dial(ctx, addr)
	if err != nil {
		return 0, err
	}
	defer c.Close()
	var total int64
	for buf := []byte(nil); ; {
		if _, err := c.Write(FetchFrame(topic, 0, []int64{offset}, 1<<20, tailWaitMs)); err != nil {
			return total, unless(ctx, err)
		}
		body, err := ReadFrame(c, &buf)
		if err != nil {
			return total, unless(ctx, err)
		}
		n, err := Batches(body, func(_ int32, batch []byte) error {
			offset = NextOffset(batch)
			return nil
		})
		if err != nil {
			return total, err
		}
		total += n
	}
}

// unless drops an error that comes from the end of ctx.
func unless(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return nil
	}
	return err
}
