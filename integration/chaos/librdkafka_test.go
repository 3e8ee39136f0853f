package chaos

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"

	"github.com/confluentinc/confluent-kafka-go/v2/kafka"

	"gregor/integration/chaos/history"
)

// librdkafka is the configuration that every client of it here has; more adds to it or overrides it.
func (r *round) librdkafka(more kafka.ConfigMap) *kafka.ConfigMap {
	config := kafka.ConfigMap{
		"bootstrap.servers": strings.Join(r.seeds(), ","), "socket.timeout.ms": 4000, "socket.connection.setup.timeout.ms": 1500,
		"reconnect.backoff.ms": 50, "reconnect.backoff.max.ms": 500, "topic.metadata.refresh.interval.ms": 5000,
		"topic.metadata.refresh.fast.interval.ms": 100, "log_level": 0,
		// A broker that has just started knows of no topic yet.
		"topic.metadata.propagation.max.ms": int(limit.Milliseconds()),
	}
	for key, value := range more {
		config[key] = value
	}
	return &config
}

// librdkafkaProducer is franzProducer with librdkafka. That stops for good when it cannot tell any more what a broker has: then a new one goes on.
func (r *round) librdkafkaProducer(ctx context.Context, name string) error {
	seq := int64(0)
	for life := 1; ctx.Err() == nil; life++ {
		var err error
		if seq, err = r.librdkafkaLife(ctx, fmt.Sprintf("%s.%d", name, life), seq); err != nil {
			return err
		}
	}
	return nil
}

func (r *round) librdkafkaLife(ctx context.Context, name string, seq int64) (int64, error) {
	config := kafka.ConfigMap{
		"enable.idempotence": r.acksAll, "acks": -1, "linger.ms": 2, "message.timeout.ms": int(r.patience.Milliseconds()), "request.timeout.ms": 3000,
		"retry.backoff.ms": 50, "retry.backoff.max.ms": 200,
	}
	if !r.acksAll {
		config["acks"] = 1
	}
	producer, err := kafka.NewProducer(r.librdkafka(config))
	if err != nil {
		return seq, err
	}
	defer producer.Close()
	var fatal atomic.Bool
	delivered := make(chan struct{})
	go func() {
		defer close(delivered)
		for event := range producer.Events() {
			switch event := event.(type) {
			case *kafka.Message:
				r.delivered(event)
			case kafka.Error:
				if event.IsFatal() {
					r.rec.Faultf("%s ends: %v", name, event)
					fatal.Store(true)
				}
			}
		}
	}()
	for ; ctx.Err() == nil && !fatal.Load(); seq++ {
		partition := int32(seq % int64(r.partitions))
		e := &history.Event{
			Kind: history.Send, From: r.rec.Now(), Client: name, Topic: r.topic, Partition: partition, Seq: seq,
			Value: fmt.Sprintf("%s-%d", name, seq), Idempotent: r.acksAll,
		}
		message := &kafka.Message{TopicPartition: kafka.TopicPartition{Topic: &r.topic, Partition: partition}, Value: []byte(e.Value + padding), Opaque: e}
		if err := producer.Produce(message, nil); err != nil {
			var why kafka.Error
			switch {
			case !errors.As(err, &why):
				return seq, fmt.Errorf("%s: %w", name, err)
			case why.Code() == kafka.ErrQueueFull: // the next one, then
			case why.IsFatal() || why.Code() == kafka.ErrFatal:
				fatal.Store(true)
			default:
				return seq, fmt.Errorf("%s: %w", name, err)
			}
		}
		sleep(ctx, sendInterval)
	}
	left := producer.Flush(int(2 * r.patience.Milliseconds()))
	if left > 0 && !fatal.Load() {
		err = fmt.Errorf("%s: %d records without an outcome", name, left)
	}
	return seq, err
}

// delivered records the outcome of one send.
func (r *round) delivered(message *kafka.Message) {
	e := *message.Opaque.(*history.Event)
	e.Outcome, e.Offset = history.OK, max(int64(message.TopicPartition.Offset), history.NoOffset) // librdkafka's own "unknown" is -1001
	if err := message.TopicPartition.Error; err != nil {
		e.Outcome, e.Offset, e.Note = history.Unknown, 0, err.Error()
	}
	r.sent(e)
}

// librdkafkaReader is franzReader with librdkafka. One poll is one record of it; runs of them are recorded together.
func (r *round) librdkafkaReader(ctx context.Context, name string, until func() map[int32]int64) error {
	consumer, err := kafka.NewConsumer(r.librdkafka(kafka.ConfigMap{
		"group.id": "nobody", "enable.auto.commit": false, "auto.offset.reset": "error", "fetch.wait.max.ms": 200, "fetch.error.backoff.ms": 100,
	}))
	if err != nil {
		return err
	}
	defer consumer.Close()
	var all []kafka.TopicPartition
	for p := range r.partitions {
		all = append(all, kafka.TopicPartition{Topic: &r.topic, Partition: p, Offset: 0})
	}
	if err := consumer.Assign(all); err != nil {
		return err
	}
	next := map[int32]int64{}
	for !reached(next, until()) {
		if ctx.Err() != nil {
			return fmt.Errorf("%s: read up to %v of %v: %w", name, next, until(), ctx.Err())
		}
		r.pollLibrdkafka(consumer, name, false, next)
	}
	return nil
}

// pollLibrdkafka takes what is there, a hundred records at most, and records it by partition.
func (r *round) pollLibrdkafka(consumer *kafka.Consumer, name string, group bool, next map[int32]int64) {
	const most = 100
	polled := map[int32][]history.Record{}
	wait := 200
	for range most {
		event := consumer.Poll(wait)
		if event == nil {
			break
		}
		switch event := event.(type) {
		case *kafka.Message:
			if event.TopicPartition.Error != nil {
				continue
			}
			wait = 0
			p, offset := event.TopicPartition.Partition, int64(event.TopicPartition.Offset)
			polled[p] = append(polled[p], history.Record{Offset: offset, Value: value(event.Value)})
			next[p] = offset + 1
		case kafka.Error:
			if event.Code() == kafka.ErrAutoOffsetReset {
				r.rec.Faultf("%s: %v", name, event)
			}
		}
	}
	for p, records := range polled {
		r.rec.Add(history.Event{Kind: history.Poll, Client: name, Topic: r.topic, Partition: p, Group: group, Records: records})
	}
}

// librdkafkaMember is franzMember with librdkafka. It commits what librdkafka has noted as read of the partitions that are assigned now: a rebalance, which only
// happens within a poll, forgets the others.
func (r *round) librdkafkaMember(ctx context.Context, name string) error {
	consumer, err := kafka.NewConsumer(r.librdkafka(kafka.ConfigMap{
		"group.id": r.group(), "enable.auto.commit": false, "auto.offset.reset": "earliest", "fetch.wait.max.ms": 200, "session.timeout.ms": 6000,
		"heartbeat.interval.ms": 1000, "partition.assignment.strategy": "range",
	}))
	if err != nil {
		return err
	}
	defer consumer.Close()
	if err := consumer.SubscribeTopics([]string{r.topic}, nil); err != nil {
		return err
	}
	next := map[int32]int64{}
	for ctx.Err() == nil {
		clear(next)
		r.pollLibrdkafka(consumer, name, true, next)
		if len(next) == 0 {
			continue
		}
		e := history.Event{Kind: history.Commit, From: r.rec.Now(), Client: r.group(), Topic: r.topic}
		committed, err := consumer.Commit()
		if err != nil {
			for e.Partition, e.Offset = range next {
				e.Outcome = history.Unknown
				r.rec.Add(e)
			}
		}
		for _, p := range committed {
			if p.Error == nil && p.Offset >= 0 { // otherwise nothing was read of it yet
				e.Partition, e.Offset, e.Outcome = p.Partition, int64(p.Offset), history.OK
				r.rec.Add(e)
			}
		}
	}
	return nil
}
