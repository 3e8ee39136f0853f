package main

import (
	"context"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	"gregor/bench/load"
)

// startBare serves one of the bare programs in this process.
func startBare(t *testing.T, k kind) *cluster {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	b := &bareBroker{kind: k, addr: ln.Addr().String(), dir: t.TempDir(), logs: map[string][]*bareLog{}}
	done := make(chan struct{})
	go func() {
		defer close(done)
		b.accept(ln)
	}()
	t.Cleanup(func() {
		ln.Close()
		<-done
	})
	return &cluster{kind: k, brokers: []*broker{{kind: k, addr: b.addr, dir: b.dir}}}
}

// TestLoad sends closed and open loops to the bare programs: every request is answered once, and loop has written each.
func TestLoad(t *testing.T) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	for _, k := range []kind{null, loop} {
		c := startBare(t, k)
		l, err := c.load(ctx, shape{topic: "t", partitions: 6, acks: 1, records: 3, size: 100, spread: 2, connections: 4, depth: 5})
		if err != nil {
			t.Fatal(err)
		}
		l.Latencies = true
		done, err := l.Requests(ctx, 101)
		if err != nil || done.Requests != 101 || len(done.Latencies) != 101 || done.Bytes != 101*int64(l.Lanes[0].Bytes) {
			t.Fatalf("%s: %d requests, %d latencies, %d bytes, %v", k, done.Requests, len(done.Latencies), done.Bytes, err)
		}
		p := load.Paced{Addr: c.brokers[0].addr, Frame: load.ProduceFrame("t", 1, load.Batch(1, 100), 0), Rate: 2000, Count: 100}
		begun := time.Now()
		took, err := p.Run(ctx)
		if err != nil || len(took) != 100 || time.Since(begun) < 45*time.Millisecond {
			t.Errorf("%s: %d paced requests in %s, %v", k, len(took), time.Since(begun), err)
		}
		files, err := filepath.Glob(filepath.Join(c.brokers[0].dir, "t-*.log"))
		if err != nil {
			t.Fatal(err)
		}
		var written int64
		for _, file := range files {
			info, err := os.Stat(file)
			if err != nil {
				t.Fatal(err)
			}
			written += info.Size()
		}
		want := done.Bytes + 100*int64(len(load.Batch(1, 100)))
		if k == null {
			want = 0
		}
		if written != want {
			t.Errorf("%s wrote %d bytes, want %d", k, written, want)
		}
	}
}

// TestIdempotentLoad numbers a connection's records on, partition by partition.
func TestIdempotentLoad(t *testing.T) {
	c := startBare(t, loop)
	l, err := c.load(t.Context(), shape{topic: "t", partitions: 2, acks: 1, records: 3, size: 100, connections: 1, depth: 5, idempotent: true})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := l.Requests(t.Context(), 9); err != nil {
		t.Fatal(err)
	}
	if s := l.Lanes[0].Sequence; l.Lanes[0].ProducerID != 1 || s[0] != 15 || s[1] != 12 {
		t.Errorf("producer %d has sent up to %v, want 1 and [15 12]", l.Lanes[0].ProducerID, s)
	}
}

// TestBareRefuses has the bare program refuse a batch whose checksum is wrong: it is compared, not only computed.
func TestBareRefuses(t *testing.T) {
	c := startBare(t, loop)
	if err := c.topic(t.Context(), "t", 1); err != nil {
		t.Fatal(err)
	}
	batch := load.Batch(1, 100)
	batch[len(batch)-1]++
	if _, err := load.SendOnce(t.Context(), c.brokers[0].addr, load.ProduceFrame("t", 1, batch, 0)); err == nil {
		t.Error("a batch with a wrong checksum is taken")
	}
}
