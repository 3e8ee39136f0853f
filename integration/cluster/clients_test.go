package cluster

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/confluentinc/confluent-kafka-go/v2/kafka"
	"github.com/twmb/franz-go/pkg/kgo"
)

// A stack is a client library.
type stack struct {
	name string
	// write sends the records of a series with acks=all, idempotently, until the context ends, and returns when all of them have an outcome.
	write func(context.Context, *traffic, series) error
	// join reads as a member of a group until the context ends. A partition without a committed offset is an error, and so is an offset out of range: that the
	// group has committed offsets is seen to before it has members.
	join func(ctx context.Context, tr *traffic, group string) error
}

var stacks = []stack{{"franz-go", franzWrite, franzJoin}, {"librdkafka", librdkafkaWrite, librdkafkaJoin}}

const (
	sendInterval = 15 * time.Millisecond
	mostUnacked  = 500
	patience     = 2 * time.Minute // for the outcome of one record
)

// pause returns false when the context has ended.
func pause(ctx context.Context, d time.Duration) bool {
	select {
	case <-time.After(d):
	case <-ctx.Done():
	}
	return ctx.Err() == nil
}

func franzWrite(ctx context.Context, tr *traffic, s series) error {
	client, err := kgo.NewClient(kgo.SeedBrokers(tr.cluster.Addrs()...), kgo.MetadataMinAge(100*time.Millisecond), kgo.AlwaysRetryEOF(),
		kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.DefaultProduceTopic(tr.topic), kgo.ProducerLinger(0), kgo.ProducerBatchCompression(kgo.NoCompression()),
		kgo.RecordRetries(1<<30), kgo.RecordDeliveryTimeout(patience), kgo.ProduceRequestTimeout(5*time.Second))
	if err != nil {
		return err
	}
	defer client.Close()
	for r := (record{series: s}); pause(ctx, sendInterval); r.number++ {
		for client.BufferedProduceRecords() > mostUnacked && pause(ctx, sendInterval) {
		}
		client.Produce(context.Background(), &kgo.Record{Partition: s.partition, Value: r.value()}, func(sent *kgo.Record, err error) {
			if err != nil {
				tr.fail(fmt.Errorf("sending %s: %w", r.value(), err))
				return
			}
			tr.acknowledged(r, sent.Offset)
		})
	}
	end, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	return client.Flush(end)
}

func franzJoin(ctx context.Context, tr *traffic, group string) error {
	client, err := kgo.NewClient(kgo.SeedBrokers(tr.cluster.Addrs()...), kgo.MetadataMinAge(100*time.Millisecond), kgo.AlwaysRetryEOF(),
		kgo.ConsumerGroup(group), kgo.ConsumeTopics(tr.topic), kgo.ConsumeResetOffset(kgo.NewOffset().AtCommitted()),
		kgo.FetchMaxWait(200*time.Millisecond), kgo.SessionTimeout(10*time.Second), kgo.AutoCommitInterval(500*time.Millisecond))
	if err != nil {
		return err
	}
	defer client.Close()
	for ctx.Err() == nil {
		fetches := client.PollFetches(ctx)
		fetches.EachError(func(_ string, p int32, err error) {
			// That the member was put out of the group while brokers were away is told here, too; it joins again.
			if thrown := new(kgo.ErrGroupSession); !errors.As(err, &thrown) && ctx.Err() == nil {
				tr.fail(fmt.Errorf("group %s, partition %d: %w", group, p, err))
			}
		})
		fetches.EachRecord(func(r *kgo.Record) { tr.seen(group, r.Value) })
	}
	return client.LeaveGroupContext(context.Background())
}

// librdkafkaConfig is what every client of librdkafka here has; more adds to it.
func (tr *traffic) librdkafkaConfig(more kafka.ConfigMap) *kafka.ConfigMap {
	config := kafka.ConfigMap{
		"bootstrap.servers": strings.Join(tr.cluster.Addrs(), ","), "reconnect.backoff.ms": 50, "reconnect.backoff.max.ms": 500,
		"topic.metadata.refresh.fast.interval.ms": 100, "log_level": 0,
	}
	for key, value := range more {
		config[key] = value
	}
	return &config
}

func librdkafkaWrite(ctx context.Context, tr *traffic, s series) error {
	producer, err := kafka.NewProducer(tr.librdkafkaConfig(kafka.ConfigMap{
		"enable.idempotence": true, "acks": "all", "linger.ms": 0, "message.timeout.ms": int(patience.Milliseconds()), "request.timeout.ms": 5000,
		"retry.backoff.ms": 50, "retry.backoff.max.ms": 200,
	}))
	if err != nil {
		return err
	}
	events := make(chan struct{})
	go func() {
		defer close(events)
		for event := range producer.Events() {
			switch event := event.(type) {
			case *kafka.Message:
				if err := event.TopicPartition.Error; err != nil {
					tr.fail(fmt.Errorf("sending %s: %w", event.Value, err))
					continue
				}
				tr.acknowledged(event.Opaque.(record), int64(event.TopicPartition.Offset))
			case kafka.Error: // others are about connections, and there will be more of them
				if event.IsFatal() {
					tr.fail(fmt.Errorf("librdkafka's producer of %v: %w", s, event))
				}
			}
		}
	}()
	defer func() {
		producer.Close()
		<-events
	}()
	for r := (record{series: s}); pause(ctx, sendInterval); r.number++ {
		for producer.Len() > mostUnacked && pause(ctx, sendInterval) {
		}
		message := &kafka.Message{TopicPartition: kafka.TopicPartition{Topic: &tr.topic, Partition: s.partition}, Value: r.value(), Opaque: r}
		if err := producer.Produce(message, nil); err != nil {
			return err
		}
	}
	if left := producer.Flush(int(patience.Milliseconds())); left > 0 {
		return fmt.Errorf("%d records without an outcome", left)
	}
	return nil
}

func librdkafkaJoin(ctx context.Context, tr *traffic, group string) error {
	consumer, err := kafka.NewConsumer(tr.librdkafkaConfig(kafka.ConfigMap{
		"group.id": group, "auto.offset.reset": "error", "fetch.wait.max.ms": 200, "fetch.error.backoff.ms": 100, "session.timeout.ms": 10_000,
		"heartbeat.interval.ms": 1000, "auto.commit.interval.ms": 500,
	}))
	if err != nil {
		return err
	}
	defer consumer.Close()
	if err := consumer.SubscribeTopics([]string{tr.topic}, nil); err != nil {
		return err
	}
	for ctx.Err() == nil {
		switch event := consumer.Poll(200).(type) {
		case *kafka.Message:
			if event.TopicPartition.Error == nil {
				tr.seen(group, event.Value)
			}
		case kafka.Error: // others are about connections and coordinators that come and go
			if event.Code() == kafka.ErrAutoOffsetReset || event.IsFatal() {
				tr.fail(fmt.Errorf("group %s: %w", group, event))
			}
		}
	}
	return nil
}
