// Package librdkafka tells the story of package clients with confluent-kafka-go, which brings librdkafka as a C library: these tests, and only these,
// need cgo and a C compiler.
package librdkafka

import (
	"context"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/confluentinc/confluent-kafka-go/v2/kafka"

	"gregor/integration/clients/ready"
	"gregor/integration/harness"
)

func TestMain(m *testing.M) { os.Exit(harness.Main(m)) }

const (
	topic    = "confluent"
	group    = "confluent-group"
	perCodec = 60
	limit    = 60 * time.Second
)

var codecs = []string{"none", "gzip", "snappy", "lz4", "zstd"}

func TestLibrdkafka(t *testing.T) {
	b := ready.Broker(t)
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	admin, err := kafka.NewAdminClient(&kafka.ConfigMap{"bootstrap.servers": b.Addr})
	if err != nil {
		t.Fatal(err)
	}
	defer admin.Close()
	created, err := admin.CreateTopics(ctx, []kafka.TopicSpecification{{Topic: topic, NumPartitions: 3, ReplicationFactor: 1, Config: map[string]string{"retention.ms": "3600000"}}})
	if err != nil || created[0].Error.Code() != kafka.ErrNoError {
		t.Fatal(err, created)
	}
	b.AwaitTopics(topic)
	acked := map[string]kafka.TopicPartition{} // by value
	for _, codec := range codecs {
		produce(t, b.Addr, codec, acked)
	}
	consume(t, b.Addr, acked)
	administer(ctx, t, admin)
}

// produce sends the records of a codec as an idempotent producer, and notes where it was told they lie.
func produce(t *testing.T, addr, codec string, acked map[string]kafka.TopicPartition) {
	p, err := kafka.NewProducer(&kafka.ConfigMap{"bootstrap.servers": addr, "compression.type": codec, "enable.idempotence": true, "linger.ms": 5})
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	delivered := make(chan kafka.Event, perCodec)
	name := topic
	for n := range perCodec {
		m := &kafka.Message{
			TopicPartition: kafka.TopicPartition{Topic: &name, Partition: kafka.PartitionAny}, Key: fmt.Appendf(nil, "key-%d", n%7),
			Value: fmt.Appendf(nil, "%s-%d-%s", codec, n, strings.Repeat("v", n*5)), Headers: []kafka.Header{{Key: "codec", Value: []byte(codec)}},
		}
		if err := p.Produce(m, delivered); err != nil {
			t.Fatal(err)
		}
	}
	for range perCodec {
		select {
		case e := <-delivered:
			m := e.(*kafka.Message)
			if m.TopicPartition.Error != nil {
				t.Fatalf("%s: %v", codec, m.TopicPartition.Error)
			}
			acked[string(m.Value)] = m.TopicPartition
		case <-time.After(limit):
			t.Fatalf("%s: not delivered", codec)
		}
	}
}

// consume reads with two members and expects every record once, keys in order, offsets without holes
// and as acknowledged.
func consume(t *testing.T, addr string, acked map[string]kafka.TopicPartition) {
	var members []*kafka.Consumer
	for range 2 {
		c, err := kafka.NewConsumer(&kafka.ConfigMap{"bootstrap.servers": addr, "group.id": group, "auto.offset.reset": "earliest", "enable.auto.commit": false})
		if err != nil {
			t.Fatal(err)
		}
		if err := c.SubscribeTopics([]string{topic}, nil); err != nil {
			t.Fatal(err)
		}
		members = append(members, c)
	}
	seen := map[string]bool{}
	next := map[int32]kafka.Offset{}
	home := map[string]int32{}
	for deadline := time.Now().Add(limit); len(seen) < perCodec*len(codecs); {
		if time.Now().After(deadline) {
			t.Fatalf("received %d records", len(seen))
		}
		for _, c := range members {
			m, ok := c.Poll(50).(*kafka.Message)
			if !ok {
				continue
			}
			tp := m.TopicPartition
			if tp.Error != nil || seen[string(m.Value)] || tp.Offset != next[tp.Partition] || len(m.Headers) != 1 || !strings.HasPrefix(string(m.Value), string(m.Headers[0].Value)+"-") {
				t.Errorf("wrong record: %v %q %v after %d", tp, m.Value, m.Headers, next[tp.Partition])
			}
			if told := acked[string(m.Value)]; told.Partition != tp.Partition || told.Offset != tp.Offset {
				t.Errorf("%.20q came from %v, its producer was told %v", m.Value, tp, told)
			}
			if p, known := home[string(m.Key)]; known && p != tp.Partition {
				t.Errorf("key %s in partitions %d and %d", m.Key, p, tp.Partition)
			}
			seen[string(m.Value)], next[tp.Partition], home[string(m.Key)] = true, tp.Offset+1, tp.Partition
			if _, err := c.CommitMessage(m); err != nil {
				t.Errorf("commit: %v", err)
			}
		}
	}
	for _, c := range members {
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	}
}

func administer(ctx context.Context, t *testing.T, admin *kafka.AdminClient) {
	name := topic
	request := kafka.ConsumerGroupTopicPartitions{Group: group}
	for p := range 3 {
		request.Partitions = append(request.Partitions, kafka.TopicPartition{Topic: &name, Partition: int32(p)})
	}
	offsets, err := admin.ListConsumerGroupOffsets(ctx, []kafka.ConsumerGroupTopicPartitions{request})
	if err != nil {
		t.Fatal(err)
	}
	sum := 0
	for _, p := range offsets.ConsumerGroupsTopicPartitions[0].Partitions {
		sum += max(int(p.Offset), 0)
	}
	if sum != perCodec*len(codecs) {
		t.Errorf("committed %d", sum)
	}
	resource := kafka.ConfigResource{Type: kafka.ResourceTopic, Name: topic}
	configs, err := admin.DescribeConfigs(ctx, []kafka.ConfigResource{resource})
	if err != nil || configs[0].Config["retention.ms"].Value != "3600000" {
		t.Errorf("config: %v %+v", err, configs)
	}
	resource.Config = []kafka.ConfigEntry{{Name: "segment.bytes", Value: "100000000", IncrementalOperation: kafka.AlterConfigOpTypeSet}}
	if r, err := admin.IncrementalAlterConfigs(ctx, []kafka.ConfigResource{resource}); err != nil || r[0].Error.Code() != kafka.ErrNoError {
		t.Errorf("alter: %v %+v", err, r)
	}
	described, err := admin.DescribeConsumerGroups(ctx, []string{group})
	if err != nil || described.ConsumerGroupDescriptions[0].State != kafka.ConsumerGroupStateEmpty {
		t.Errorf("group: %v %+v", err, described)
	}
	if r, err := admin.CreatePartitions(ctx, []kafka.PartitionsSpecification{{Topic: topic, IncreaseTo: 5}}); err != nil || r[0].Error.Code() != kafka.ErrNoError {
		t.Errorf("partitions: %v %+v", err, r)
	}
	if r, err := admin.DeleteConsumerGroups(ctx, []string{group}); err != nil || r.ConsumerGroupResults[0].Error.Code() != kafka.ErrNoError {
		t.Errorf("delete group: %v %+v", err, r)
	}
	if r, err := admin.DeleteTopics(ctx, []string{topic}); err != nil || r[0].Error.Code() != kafka.ErrNoError {
		t.Errorf("delete topic: %v %+v", err, r)
	}
	harness.Eventually(t, limit, func() error {
		meta, err := admin.GetMetadata(nil, true, 10000)
		if err != nil {
			return err
		}
		if _, still := meta.Topics[topic]; still {
			return fmt.Errorf("%s is still there", topic)
		}
		return nil
	})
}
