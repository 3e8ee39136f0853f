package chaos

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"gregor/integration/chaos/history"
)

// padding makes records long enough for segments to roll during a round.
var padding = " " + strings.Repeat("x", 200)

// value is the part of a record's value that is told apart and recorded.
func value(raw []byte) string {
	name, _, _ := strings.Cut(string(raw), " ")
	return name
}

// outcome of a send, by its error. Only what the broker refused for its size was certainly never appended: every other error may follow an attempt
// whose answer was lost.
func outcome(err error) history.Outcome {
	switch {
	case err == nil:
		return history.OK
	case errors.Is(err, kerr.MessageTooLarge):
		return history.Failed
	}
	return history.Unknown
}

// franzProducer sends until the context ends, and returns when the outcome of everything sent is known.
func (r *round) franzProducer(ctx context.Context, name string) error {
	options := append(patience(), kgo.SeedBrokers(r.seeds()...), kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.DefaultProduceTopic(r.topic),
		kgo.ProducerLinger(2*time.Millisecond), kgo.ProduceRequestTimeout(3*time.Second), kgo.RecordDeliveryTimeout(r.patience),
		kgo.UnknownTopicRetries(-1), kgo.MaxBufferedRecords(2000), kgo.ProducerBatchCompression(kgo.NoCompression()))
	if !r.acksAll {
		options = append(options, kgo.DisableIdempotentWrite(), kgo.RequiredAcks(kgo.LeaderAck()))
	}
	client, err := kgo.NewClient(options...)
	if err != nil {
		return err
	}
	defer client.Close()
	for seq := int64(0); ctx.Err() == nil; seq++ {
		partition := int32(seq % int64(r.partitions))
		e := history.Event{
			Kind: history.Send, From: r.rec.Now(), Client: name, Topic: r.topic, Partition: partition, Seq: seq,
			Value: fmt.Sprintf("%s-%d", name, seq), Idempotent: r.acksAll,
		}
		record := &kgo.Record{Partition: partition, Value: []byte(e.Value + padding)}
		client.Produce(context.Background(), record, func(record *kgo.Record, err error) {
			e.Outcome, e.Offset = outcome(err), record.Offset
			if err != nil {
				e.Offset, e.Note = 0, err.Error()
			}
			r.sent(e)
		})
		sleep(ctx, sendInterval)
	}
	flush, cancel := context.WithTimeout(context.Background(), 2*r.patience)
	defer cancel()
	return client.Flush(flush)
}

// refusedProducer sends, now and then, what is too large for the topic.
func (r *round) refusedProducer(ctx context.Context, name string) error {
	client, err := kgo.NewClient(append(patience(), kgo.SeedBrokers(r.seeds()...), kgo.DisableIdempotentWrite(), kgo.ProducerBatchCompression(kgo.NoCompression()),
		kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.DefaultProduceTopic(r.topic), kgo.RecordDeliveryTimeout(5*time.Second))...)
	if err != nil {
		return err
	}
	defer client.Close()
	tooLarge := strings.Repeat(" ", 2*maxMessageBytes)
	for seq := int64(0); ctx.Err() == nil; seq++ {
		e := history.Event{
			Kind: history.Send, From: r.rec.Now(), Client: name, Topic: r.topic, Partition: int32(seq % int64(r.partitions)), Seq: seq, Value: fmt.Sprintf("%s-%d", name, seq),
		}
		record := &kgo.Record{Partition: e.Partition, Value: []byte(e.Value + tooLarge)}
		err := client.ProduceSync(ctx, record).FirstErr()
		e.Outcome = outcome(err)
		if err == nil {
			e.Offset = record.Offset
		}
		r.rec.Add(e)
		sleep(ctx, 500*time.Millisecond)
	}
	return nil
}

// franzReader reads every partition from its start to the ends that until names, once it names them.
func (r *round) franzReader(ctx context.Context, name string, kind history.Kind, until func() map[int32]int64) error {
	offsets := map[int32]kgo.Offset{}
	for p := range r.partitions {
		offsets[p] = kgo.NewOffset().At(0)
	}
	client, err := kgo.NewClient(append(patience(), kgo.SeedBrokers(r.seeds()...), kgo.FetchMaxWait(200*time.Millisecond),
		kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{r.topic: offsets}))...)
	if err != nil {
		return err
	}
	defer client.Close()
	next := map[int32]int64{}
	if kind == history.Final {
		defer func() { r.recordRead(name, next, until()) }()
	}
	for !reached(next, until()) {
		if ctx.Err() != nil {
			return fmt.Errorf("%s: read up to %v of %v: %w", name, next, until(), ctx.Err())
		}
		poll, cancel := context.WithTimeout(ctx, 200*time.Millisecond)
		fetches := client.PollFetches(poll)
		cancel()
		r.recordFetches(name, kind, false, fetches, next)
	}
	return nil
}

// recordRead records which partitions the final reader has read to their ends.
func (r *round) recordRead(name string, next, ends map[int32]int64) {
	for p, end := range ends {
		if next[p] >= end {
			r.rec.Add(history.Event{Kind: history.Final, Client: name, Topic: r.topic, Partition: p, Outcome: history.OK})
		}
	}
}

func (r *round) recordFetches(name string, kind history.Kind, group bool, fetches kgo.Fetches, next map[int32]int64) {
	fetches.EachPartition(func(p kgo.FetchTopicPartition) {
		if len(p.Records) == 0 {
			return
		}
		e := history.Event{Kind: kind, Client: name, Topic: p.Topic, Partition: p.Partition, Group: group}
		for _, record := range p.Records {
			e.Records = append(e.Records, history.Record{Offset: record.Offset, Value: value(record.Value)})
			next[p.Partition] = record.Offset + 1
		}
		r.rec.Add(e)
	})
}

// reached says whether every partition was read to its end; a nil end is not known yet.
func reached(next, end map[int32]int64) bool {
	if end == nil {
		return false
	}
	for p, offset := range end {
		if next[p] < offset {
			return false
		}
	}
	return true
}

// franzMember reads as a member of the round's group and commits after every poll.
func (r *round) franzMember(ctx context.Context, name string) error {
	client, err := kgo.NewClient(append(patience(), kgo.SeedBrokers(r.seeds()...), kgo.ConsumerGroup(r.group()), kgo.ConsumeTopics(r.topic),
		kgo.DisableAutoCommit(), kgo.BlockRebalanceOnPoll(), kgo.Balancers(kgo.RangeBalancer()), kgo.SessionTimeout(6*time.Second), kgo.HeartbeatInterval(time.Second),
		kgo.FetchMaxWait(200*time.Millisecond), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))...)
	if err != nil {
		return err
	}
	defer client.Close()
	next := map[int32]int64{}
	for ctx.Err() == nil {
		poll, cancel := context.WithTimeout(ctx, 300*time.Millisecond)
		fetches := client.PollFetches(poll)
		cancel()
		clear(next)
		r.recordFetches(name, history.Poll, true, fetches, next)
		for p, offset := range next {
			e := history.Event{Kind: history.Commit, From: r.rec.Now(), Client: r.group(), Topic: r.topic, Partition: p, Offset: offset, Outcome: history.Unknown}
			commit, cancel := context.WithTimeout(context.Background(), 4*time.Second)
			err := client.CommitRecords(commit, &kgo.Record{Topic: r.topic, Partition: p, Offset: offset - 1, LeaderEpoch: -1})
			cancel()
			if err == nil {
				e.Outcome = history.OK
			}
			r.rec.Add(e)
		}
		client.AllowRebalance()
	}
	return nil
}
