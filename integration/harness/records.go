package harness

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

// ReadAll reads a topic from its start to what is its end now, per partition in offset order, and wants no offset missing.
func (b *Broker) ReadAll(topic string) map[int32][]*kgo.Record {
	b.t.Helper()
	client := b.Client(kgo.ConsumeTopics(topic), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), kgo.FetchMaxWait(200*time.Millisecond))
	defer client.Close()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	admin := kadm.NewClient(client)
	starts, err := admin.ListStartOffsets(ctx, topic)
	if err = errors.Join(err, starts.Error()); err != nil {
		b.t.Fatal(err)
	}
	ends, err := admin.ListEndOffsets(ctx, topic)
	if err = errors.Join(err, ends.Error()); err != nil {
		b.t.Fatal(err)
	}
	missing := int64(0)
	next := map[int32]int64{}
	ends.Each(func(end kadm.ListedOffset) {
		start, _ := starts.Lookup(topic, end.Partition)
		next[end.Partition] = start.Offset
		missing += end.Offset - start.Offset
	})
	all := map[int32][]*kgo.Record{}
	for missing > 0 {
		fetches := client.PollFetches(ctx)
		if err := fetches.Err(); err != nil {
			b.t.Fatalf("reading %s, %d records still to come: %v", topic, missing, err)
		}
		fetches.EachRecord(func(r *kgo.Record) {
			if r.Offset != next[r.Partition] {
				b.t.Fatalf("%s-%d: offset %d follows %d", topic, r.Partition, r.Offset, next[r.Partition]-1)
			}
			next[r.Partition]++
			missing--
			all[r.Partition] = append(all[r.Partition], r)
		})
	}
	return all
}

// Produce sends records synchronously and wants every one acknowledged.
func Produce(t testing.TB, client *kgo.Client, records ...*kgo.Record) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	if err := client.ProduceSync(ctx, records...).FirstErr(); err != nil {
		t.Fatalf("producing: %v", err)
	}
}

// AwaitUnregistered waits until the znode of a killed broker has gone with its session.
func (b *Broker) AwaitUnregistered() {
	b.t.Helper()
	tree := ZooKeeperTree(b.t, b.Connect)
	path := "/brokers/ids/" + b.Set["broker.id"]
	Eventually(b.t, 30*time.Second, func() error {
		if tree.Exists(path) {
			return fmt.Errorf("%s still stands", path)
		}
		return nil
	})
}
