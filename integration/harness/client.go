package harness

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

// Eventually calls condition until it returns nil; the test fails with its last error when it does not within the timeout.
func Eventually(t testing.TB, timeout time.Duration, condition func() error) {
	t.Helper()
	deadline := time.Now().Add(timeout)
	for {
		err := condition()
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("still after %v: %v", timeout, err)
		}
		time.Sleep(50 * time.Millisecond)
	}
}

// Client is a franz-go client of the broker, closed at the test's end.
func (b *Broker) Client(options ...kgo.Opt) *kgo.Client {
	b.t.Helper()
	client, err := kgo.NewClient(append([]kgo.Opt{kgo.SeedBrokers(b.Addr)}, options...)...)
	if err != nil {
		b.t.Fatal(err)
	}
	b.t.Cleanup(client.Close)
	return client
}

// CreateTopic makes a topic with one replica per partition and waits until its partitions have leaders.
func (b *Broker) CreateTopic(topic string, partitions int32, configs map[string]string) {
	b.t.Helper()
	client := b.Client()
	defer client.Close()
	values := map[string]*string{}
	for key, value := range configs {
		values[key] = &value
	}
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	if _, err := kadm.NewClient(client).CreateTopic(ctx, partitions, 1, values, topic); err != nil {
		b.t.Fatalf("creating %s: %v", topic, err)
	}
	b.AwaitTopics(topic)
}

// AwaitTopics waits until the broker knows these topics and a leader for each of their partitions: after a start, a broker
// accepts connections a moment before its controller has told it what there is.
func (b *Broker) AwaitTopics(topics ...string) {
	b.t.Helper()
	client := b.Client()
	defer client.Close()
	admin := kadm.NewClient(client)
	Eventually(b.t, 30*time.Second, func() error {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		details, err := admin.ListTopicsWithInternal(ctx, topics...)
		if err != nil {
			return err
		}
		for _, topic := range topics {
			detail := details[topic]
			if detail.Err != nil || len(detail.Partitions) == 0 {
				return fmt.Errorf("topic %s: %d partitions, %v", topic, len(detail.Partitions), detail.Err)
			}
			for _, partition := range detail.Partitions {
				if partition.Err != nil || partition.Leader < 0 {
					return fmt.Errorf("%s-%d: leader %d, %v", topic, partition.Partition, partition.Leader, partition.Err)
				}
			}
		}
		return nil
	})
}
