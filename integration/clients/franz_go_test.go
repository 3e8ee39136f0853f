package clients

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"gregor/integration/clients/ready"
	"gregor/integration/harness"
)

func TestFranzGo(t *testing.T) {
	b := ready.Broker(t)
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	admin := kadm.NewClient(b.Client())
	retention := "3600000"
	if _, err := admin.CreateTopic(ctx, partitions, 1, map[string]*string{"retention.ms": &retention}, "franz"); err != nil {
		t.Fatal(err)
	}
	b.AwaitTopics("franz")

	codecs := map[string]kgo.CompressionCodec{
		"none": kgo.NoCompression(), "gzip": kgo.GzipCompression(), "snappy": kgo.SnappyCompression(), "lz4": kgo.Lz4Compression(), "zstd": kgo.ZstdCompression(),
	}
	order := []string{"none", "gzip", "snappy", "lz4", "zstd"}
	acked := map[string]place{}
	for _, codec := range order {
		producer := b.Client(kgo.ProducerBatchCompression(codecs[codec]), kgo.DefaultProduceTopic("franz"))
		for n := range perCodec {
			r := &kgo.Record{Key: []byte(key(n)), Value: []byte(value(codec, n)), Headers: []kgo.RecordHeader{{Key: "codec", Value: []byte(codec)}}}
			producer.Produce(ctx, r, func(r *kgo.Record, err error) {
				if err != nil {
					t.Errorf("%s: %v", codec, err)
				}
				acked[string(r.Value)] = place{r.Partition, r.Offset}
			})
		}
		if err := producer.Flush(ctx); err != nil {
			t.Fatal(err)
		}
	}

	check(t, order, acked, franzConsume(ctx, t, []*kgo.Client{
		b.Client(kgo.ConsumerGroup("franz-group"), kgo.ConsumeTopics("franz"), kgo.DisableAutoCommit()),
		b.Client(kgo.ConsumerGroup("franz-group"), kgo.ConsumeTopics("franz"), kgo.DisableAutoCommit()),
	}, perCodec*len(order)))

	franzFence(ctx, t, b)

	committed, err := admin.FetchOffsets(ctx, "franz-group")
	if err != nil {
		t.Fatal(err)
	}
	var sum int64
	committed.Each(func(o kadm.OffsetResponse) { sum += o.At })
	if sum != int64(perCodec*len(order)) {
		t.Errorf("committed %d", sum)
	}
	franzAdmin(ctx, t, admin)
}

// franzConsume reads with several members until total records have come, and commits what was read.
func franzConsume(ctx context.Context, t *testing.T, members []*kgo.Client, total int) []received {
	var mu sync.Mutex
	var all []received
	var wg sync.WaitGroup
	ctx, done := context.WithCancel(ctx)
	defer done()
	for _, m := range members {
		wg.Go(func() {
			for ctx.Err() == nil {
				fetches := m.PollFetches(ctx)
				mu.Lock()
				fetches.EachRecord(func(r *kgo.Record) {
					all = append(all, received{r.Partition, r.Offset, string(r.Key), string(r.Value), franzHeader(r)})
				})
				full := len(all) >= total
				mu.Unlock()
				if fetches.NumRecords() > 0 {
					if err := m.CommitUncommittedOffsets(context.WithoutCancel(ctx)); err != nil {
						t.Errorf("commit: %v", err)
					}
				}
				if full {
					done()
				}
			}
		})
	}
	wg.Wait()
	for _, m := range members {
		m.Close()
	}
	return all
}

// franzFence has a second member join a group, after which a commit in the generation before is refused, although the member is still there.
func franzFence(ctx context.Context, t *testing.T, b *harness.Broker) {
	const group = "franz-fence"
	join := func() *kgo.Client {
		return b.Client(kgo.ConsumerGroup(group), kgo.ConsumeTopics("franz"), kgo.DisableAutoCommit())
	}
	first := join()
	defer first.Close()
	joined := func(after int32) (member string, generation int32) {
		harness.Eventually(t, limit, func() error {
			if member, generation = first.GroupMetadata(); generation <= after {
				return fmt.Errorf("generation %d of %s", generation, group)
			}
			return nil
		})
		return member, generation
	}
	_, old := joined(0)
	second := join()
	defer second.Close()
	member, now := joined(old)
	req := kmsg.NewPtrOffsetCommitRequest()
	req.Group, req.MemberID, req.Generation = group, member, old
	topic, partition := kmsg.NewOffsetCommitRequestTopic(), kmsg.NewOffsetCommitRequestTopicPartition()
	topic.Topic, topic.Partitions = "franz", append(topic.Partitions, partition)
	req.Topics = append(req.Topics, topic)
	resp, err := req.RequestWith(ctx, b.Client())
	if err != nil {
		t.Fatal(err)
	}
	if code := resp.Topics[0].Partitions[0].ErrorCode; code != kerr.IllegalGeneration.Code {
		t.Errorf("a commit in generation %d, after %d has begun: %v", old, now, kerr.ErrorForCode(code))
	}
}

// franzHeader is the value of a record's only header.
func franzHeader(r *kgo.Record) string {
	if len(r.Headers) != 1 || r.Headers[0].Key != "codec" {
		return fmt.Sprintf("headers %v", r.Headers)
	}
	return string(r.Headers[0].Value)
}

func franzAdmin(ctx context.Context, t *testing.T, admin *kadm.Client) {
	configs, err := admin.DescribeTopicConfigs(ctx, "franz")
	if err != nil {
		t.Fatal(err)
	}
	described := map[string]string{}
	for _, c := range configs[0].Configs {
		described[c.Key] = c.MaybeValue()
	}
	if described["retention.ms"] != "3600000" || described["cleanup.policy"] != "delete" {
		t.Errorf("configs: %v", described)
	}
	segment := "100000000"
	if r, err := admin.AlterTopicConfigs(ctx, []kadm.AlterConfig{{Name: "segment.bytes", Value: &segment}}, "franz"); err != nil || r[0].Err != nil {
		t.Errorf("alter configs: %v %v", err, r)
	}
	groups, err := admin.DescribeGroups(ctx, "franz-group")
	if err != nil || groups["franz-group"].State != "Empty" {
		t.Errorf("group: %v %+v", err, groups["franz-group"])
	}
	if r, err := admin.DeleteGroups(ctx, "franz-group"); err != nil || r["franz-group"].Err != nil {
		t.Errorf("delete group: %v %v", err, r)
	}
	if r, err := admin.CreatePartitions(ctx, 2, "franz"); err != nil || r["franz"].Err != nil {
		t.Errorf("create partitions: %v %v", err, r)
	}
	if r, err := admin.DeleteTopics(ctx, "franz"); err != nil || r["franz"].Err != nil {
		t.Errorf("delete topic: %v %v", err, r)
	}
	harness.Eventually(t, limit, func() error {
		topics, err := admin.ListTopics(ctx)
		if topics.Has("franz") {
			return errors.New("the topic is still there")
		}
		return err
	})
}
