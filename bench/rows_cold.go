package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"gregor/bench/load"
)

// readerRows are about consumers far behind, and about many of them.
func readerRows() []scenario {
	return []scenario{
		{name: "C4", title: "catch-up with 2 GB that are not in the page cache", pace: pace{17, 14, 0}, home: oneBroker, measures: []measure{
			{name: "rate", what: "throughput, 1 MiB of each of six partitions in an answer", unit: "MB/s", more: true, goal: goal{2.1, 1500}},
			{name: "cpu", what: "CPU", unit: "CPU-s/GB"},
			{name: "near", what: "throughput while the disk reads ahead 128 KiB (needs root)", unit: "MB/s", more: true},
			{name: "near cpu", what: "CPU while the disk reads ahead 128 KiB", unit: "CPU-s/GB"},
		}, run: func(ctx context.Context, r *turn) error {
			if err := r.catchUp(ctx, 2e9); err != nil {
				return err
			}
			return r.readingNear("near", func() error {
				if err := sleep(ctx, 2*time.Second); err != nil { // gregor looks from time to time only how far the disk reads ahead
					return err
				}
				return r.catchUpAgain(ctx, 2e9, "near", "near cpu")
			})
		}},
		{name: "C5", title: "a consumer at the end, 500 records/s, while another catches up with what is not in the page cache", pace: pace{90, 65, 0}, home: oneBroker, once: true, long: true, limit: 5 * time.Minute, measures: []measure{
			{name: "alone p99", what: "produce to fetch without the other: p99", unit: "ms"},
			{name: "alone p99.9", what: "without the other: p99.9", unit: "ms"},
			{name: "held p99", what: "while the other takes 400 MB/s: p99", unit: "ms"},
			{name: "held p99.9", what: "while the other takes 400 MB/s: p99.9", unit: "ms"},
			{name: "held rate", what: "the other's throughput, held to 400", unit: "MB/s", more: true},
			{name: "p99", what: "while the other takes what it gets: p99", unit: "ms"},
			{name: "p99.9", what: "while the other takes what it gets: p99.9", unit: "ms"},
			{name: "rate", what: "the other's throughput", unit: "MB/s", more: true},
		}, run: beside},
		{name: "C6", title: "one producer, 50 MB/s in 120 KiB requests, and consumers at the end", pace: pace{13, 12, 0}, once: true, home: oneBroker, limit: 4 * time.Minute, measures: []measure{
			{name: "1", what: "CPU per GB sent, 1 consumer", unit: "CPU-s/GB"},
			{name: "10", what: "CPU per GB sent, 10 consumers", unit: "CPU-s/GB"},
			{name: "50", what: "CPU per GB sent, 50 consumers", unit: "CPU-s/GB"},
		}, run: func(ctx context.Context, r *turn) error {
			for _, consumers := range []int{1, 10, 50} {
				for range r.o.samples {
					v, err := r.fanOut(ctx, consumers)
					if err != nil {
						return err
					}
					r.add(fmt.Sprint(consumers), v)
				}
			}
			return nil
		}},
		{name: "C7", title: "C4 with 8 GB", pace: pace{25, 20, 0}, home: oneBroker, once: true, long: true, limit: 10 * time.Minute, measures: []measure{
			{name: "rate", what: "throughput", unit: "MB/s", more: true}, {name: "cpu", what: "CPU", unit: "CPU-s/GB"},
		}, run: func(ctx context.Context, r *turn) error { return r.catchUp(ctx, 8e9) }},
	}
}

// logFiles calls do for every log file of a topic.
func (b *broker) logFiles(topic string, do func(*os.File) error) error {
	found := false
	err := filepath.WalkDir(b.logs(), func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || filepath.Ext(path) != ".log" || !strings.HasPrefix(filepath.Base(filepath.Dir(path)), topic+"-") {
			return err
		}
		f, err := os.Open(path)
		if err != nil {
			return err
		}
		defer f.Close()
		found = true
		return do(f)
	})
	if err == nil && !found {
		err = fmt.Errorf("there are no log files of topic %s", topic)
	}
	return err
}

// forget drops a topic's log files from the page cache.
func (b *broker) forget(topic string) error {
	return b.logFiles(topic, func(f *os.File) error {
		return errors.Join(f.Sync(), unix.Fadvise(int(f.Fd()), 0, 0, unix.FADV_DONTNEED))
	})
}

// readThrough reads a topic's log files from the disk, one after the other, and returns the rate in MB/s: no broker can have them sooner.
func (b *broker) readThrough(topic string) (float64, error) {
	if err := b.forget(topic); err != nil {
		return 0, err
	}
	begun, bytes, buf := time.Now(), int64(0), make([]byte, 1<<20)
	err := b.logFiles(topic, func(f *os.File) error {
		n, err := io.CopyBuffer(struct{ io.Writer }{io.Discard}, struct{ io.Reader }{f}, buf)
		bytes += n
		return err
	})
	return float64(bytes) / 1e6 / time.Since(begun).Seconds(), err
}

// cold drops a topic from the page cache and makes a reader of all of it. Who reads at once gets the memory that this has freed: a virtual machine's host takes it
// back after a few seconds, and reading would be waiting for memory.
func (r *turn) cold(topic string) (*load.Reader, error) {
	if err := r.c.brokers[0].forget(topic); err != nil {
		return nil, err
	}
	return r.behind(topic), nil
}

// behind makes a reader of all of a topic.
func (r *turn) behind(topic string) *load.Reader {
	return &load.Reader{Addr: r.c.brokers[0].addr, Topic: topic, Partitions: stockPartitions, Bytes: 1 << 20, Together: true}
}

// catchUp stores so many bytes of record data and reads them when they are not in the page cache.
func (r *turn) catchUp(ctx context.Context, bytes int64) error {
	if err := r.stored(ctx, strings.ToLower(r.name), 120, bytes); err != nil {
		return err
	}
	return r.catchUpAgain(ctx, bytes, "rate", "cpu")
}

// catchUpAgain reads what catchUp has stored, for these figures.
func (r *turn) catchUpAgain(ctx context.Context, bytes int64, rate, cpu string) error {
	topic := strings.ToLower(r.name)
	for range max(r.o.samples, 3) { // each takes a second or two, and the first one is slower than the others
		reader, err := r.cold(topic)
		if err != nil {
			return err
		}
		before := r.c.cpu()
		done, err := reader.Read(ctx, 2*bytes)
		if err != nil {
			return err
		}
		r.add(rate, float64(done.Bytes)/1e6/done.Took.Seconds())
		r.add(cpu, (r.c.cpu()-before)/(float64(done.Bytes)/1e9))
	}
	if r.kind != gregor {
		return nil
	}
	most, err := r.c.brokers[0].readThrough(topic)
	if err == nil {
		r.addAs(floor, rate, most)
	}
	return err
}

// Topics of C5.
const (
	besideOld   = "c5-old"
	besideFresh = "c5-fresh"
)

// beside measures a consumer at the end, first alone and then while another reads up to 12 GB that are not in the page cache: at the same rate from either
// broker, and as fast as it goes.
func beside(ctx context.Context, r *turn) error {
	if err := r.stored(ctx, besideOld, 120, 12e9); err != nil {
		return err
	}
	p, err := r.tailed(ctx, besideFresh, 500)
	if err != nil {
		return err
	}
	if _, err := p.EndToEnd(ctx, besideFresh); err != nil { // to warm up
		return err
	}
	for range r.o.samples {
		if err := r.c.brokers[0].forget(besideOld); err != nil { // what waits to be written out must not stand in the way of the first figure
			return err
		}
		took, err := p.EndToEnd(ctx, besideFresh)
		if err != nil {
			return err
		}
		r.addShares(took, []string{"alone p99", "alone p99.9"}, []float64{0.99, 0.999})
		if err := r.besideReader(ctx, p, 400e6, "held "); err != nil {
			return err
		}
		if err := r.besideReader(ctx, p, 0, ""); err != nil {
			return err
		}
	}
	return nil
}

// besideReader measures the consumer at the end while another one gets so many bytes per second at most.
func (r *turn) besideReader(ctx context.Context, p load.Paced, most float64, prefix string) error {
	if err := r.c.brokers[0].forget(besideOld); err != nil {
		return err
	}
	if err := r.fill(ctx); err != nil { // or the memory that this has freed goes back to a virtual machine's host, and reading would be waiting for it
		return err
	}
	reader := r.behind(besideOld)
	reader.Most = most
	reading, stop := context.WithCancel(ctx)
	defer stop()
	type outcome struct {
		done load.Result
		err  error
	}
	read := make(chan outcome, 1)
	go func() {
		done, err := reader.Read(reading, math.MaxInt64)
		if reading.Err() != nil {
			err = nil
		}
		read <- outcome{done, err}
	}()
	took, err := p.EndToEnd(ctx, besideFresh)
	stop()
	o := <-read
	if err = errors.Join(err, o.err); err != nil {
		return err
	}
	r.addShares(took, []string{prefix + "p99", prefix + "p99.9"}, []float64{0.99, 0.999})
	r.add(prefix+"rate", float64(o.done.Bytes)/1e6/o.done.Took.Seconds())
	return nil
}

// fanOut is the broker's CPU time for each GB that consumers at the end of a partition got, while 50 MB/s are written to it.
func (r *turn) fanOut(ctx context.Context, consumers int) (float64, error) {
	const topic = "c6"
	if err := r.c.topic(ctx, topic, 1); err != nil {
		return 0, err
	}
	addr, batch := r.c.brokers[0].addr, load.Batch(120, recordSize)
	rate := 50_000_000 / len(batch)
	p := load.Paced{Addr: addr, Frame: load.ProduceFrame(topic, 1, batch, 0), Rate: rate, Count: 3 * rate}
	first, err := load.SendOnce(ctx, addr, p.Frame)
	if err != nil {
		return 0, err
	}
	following, stop := context.WithCancel(ctx)
	defer stop()
	sent := make(chan error, 1)
	before := r.c.cpu()
	go func() {
		_, err := p.Run(ctx)
		sleep(ctx, 300*time.Millisecond) // for the last records to arrive
		stop()
		sent <- err
	}()
	total, err := load.Together(consumers, func(int) (load.Result, error) {
		n, err := load.Follow(following, addr, topic, first)
		return load.Result{Bytes: n}, err
	})
	if err = errors.Join(err, <-sent); err != nil {
		return 0, err
	}
	return (r.c.cpu() - before) / (float64(total.Bytes) / 1e9), nil
}
