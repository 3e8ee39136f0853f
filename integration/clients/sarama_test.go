package clients

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"

	"github.com/IBM/sarama"

	"gregor/integration/clients/ready"
	"gregor/integration/harness"
)

func TestSarama(t *testing.T) {
	for _, version := range []sarama.KafkaVersion{sarama.V0_11_0_0, sarama.V2_1_0_0, sarama.V3_6_0_0} {
		t.Run(version.String(), func(t *testing.T) { saramaStory(t, version) })
	}
}

func saramaStory(t *testing.T, version sarama.KafkaVersion) {
	b := ready.Broker(t)
	config := sarama.NewConfig()
	config.Version = version
	config.Producer.Return.Successes = true
	config.Producer.RequiredAcks = sarama.WaitForAll
	config.Consumer.Offsets.Initial = sarama.OffsetOldest
	config.Consumer.Offsets.AutoCommit.Enable = false
	admin, err := sarama.NewClusterAdmin([]string{b.Addr}, config)
	if err != nil {
		t.Fatal(err)
	}
	defer admin.Close()
	retention := "3600000"
	if err := admin.CreateTopic("sarama", &sarama.TopicDetail{NumPartitions: partitions, ReplicationFactor: 1, ConfigEntries: map[string]*string{"retention.ms": &retention}}, false); err != nil {
		t.Fatal(err)
	}
	b.AwaitTopics("sarama")

	codecs := map[string]sarama.CompressionCodec{"none": 0, "gzip": 1, "snappy": 2, "lz4": 3, "zstd": 4}
	order := []string{"none", "gzip", "snappy", "lz4", "zstd"}
	if !version.IsAtLeast(sarama.V2_1_0_0) {
		order = order[:4]
	}
	acked := map[string]place{}
	for _, codec := range order {
		c := *config
		c.Producer.Compression = codecs[codec]
		c.Producer.Idempotent, c.Net.MaxOpenRequests = true, 1
		producer, err := sarama.NewSyncProducer([]string{b.Addr}, &c)
		if err != nil {
			t.Fatal(err)
		}
		var batch []*sarama.ProducerMessage
		for n := range perCodec {
			batch = append(batch, &sarama.ProducerMessage{
				Topic: "sarama", Key: sarama.StringEncoder(key(n)), Value: sarama.StringEncoder(value(codec, n)), Headers: []sarama.RecordHeader{{Key: []byte("codec"), Value: []byte(codec)}},
			})
		}
		if err := producer.SendMessages(batch); err != nil {
			t.Fatalf("%s: %v", codec, err)
		}
		for n, m := range batch {
			acked[value(codec, n)] = place{m.Partition, m.Offset}
		}
		producer.Close()
	}
	check(t, order, acked, saramaConsume(t, b.Addr, config, perCodec*len(order)))
	saramaAdmin(t, admin, version, int64(perCodec*len(order)))
}

// saramaMember collects what a member of a group gets.
type saramaMember struct {
	mu   *sync.Mutex
	all  *[]received
	want int
	done context.CancelFunc
}

func (saramaMember) Setup(sarama.ConsumerGroupSession) error   { return nil }
func (saramaMember) Cleanup(sarama.ConsumerGroupSession) error { return nil }

func (m saramaMember) ConsumeClaim(s sarama.ConsumerGroupSession, c sarama.ConsumerGroupClaim) error {
	for r := range c.Messages() {
		m.mu.Lock()
		*m.all = append(*m.all, received{r.Partition, r.Offset, string(r.Key), string(r.Value), saramaHeader(r)})
		full := len(*m.all) >= m.want
		m.mu.Unlock()
		s.MarkMessage(r, "")
		if full {
			s.Commit()
			m.done()
		}
	}
	s.Commit()
	return nil
}

// saramaHeader is the value of a record's only header.
func saramaHeader(r *sarama.ConsumerMessage) string {
	if len(r.Headers) != 1 || string(r.Headers[0].Key) != "codec" {
		return fmt.Sprintf("headers %v", r.Headers)
	}
	return string(r.Headers[0].Value)
}

func saramaConsume(t *testing.T, addr string, config *sarama.Config, want int) []received {
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	var mu sync.Mutex
	var all []received
	var wg sync.WaitGroup
	for range 2 {
		group, err := sarama.NewConsumerGroup([]string{addr}, "sarama-group", config)
		if err != nil {
			t.Fatal(err)
		}
		wg.Go(func() {
			for ctx.Err() == nil {
				if err := group.Consume(ctx, []string{"sarama"}, saramaMember{&mu, &all, want, cancel}); err != nil && ctx.Err() == nil {
					t.Errorf("consume: %v", err)
					return
				}
			}
			group.Close()
		})
	}
	wg.Wait()
	return all
}

func saramaAdmin(t *testing.T, admin sarama.ClusterAdmin, version sarama.KafkaVersion, total int64) {
	offsets, err := admin.ListConsumerGroupOffsets("sarama-group", map[string][]int32{"sarama": {0, 1, 2}})
	if err != nil {
		t.Fatal(err)
	}
	var sum int64
	for _, o := range offsets.Blocks["sarama"] {
		sum += max(o.Offset, 0)
	}
	if sum != total {
		t.Errorf("committed %d, want %d", sum, total)
	}
	resource := &sarama.ConfigResource{Type: sarama.TopicResource, Name: "sarama", ConfigNames: []string{"retention.ms"}}
	configs, err := admin.DescribeConfigs([]*sarama.ConfigResource{resource}, sarama.DescribeConfigsOptions{})
	if err != nil || len(configs) != 1 || len(configs[0].Configs) != 1 || configs[0].Configs[0].Value != "3600000" {
		t.Errorf("config: %v %+v", err, configs)
	}
	segment := "100000000"
	if err := admin.AlterConfig(sarama.TopicResource, "sarama", map[string]*string{"segment.bytes": &segment}, false); err != nil {
		t.Error(err)
	}
	groups, err := admin.ListConsumerGroups()
	if err != nil || groups["sarama-group"] != "consumer" {
		t.Errorf("groups: %v %v", err, groups)
	}
	described, err := admin.DescribeConsumerGroups([]string{"sarama-group"})
	if err != nil || len(described) != 1 || described[0].State != "Empty" {
		t.Errorf("group: %v %+v", err, described)
	}
	if err := admin.DeleteRecords("sarama", map[int32]int64{0: 1}); err != nil {
		t.Error(err)
	}
	if version.IsAtLeast(sarama.V1_1_0_0) { // the library knows neither request of older brokers
		if err := admin.CreatePartitions("sarama", partitions+1, nil, false); err != nil {
			t.Error(err)
		}
		if err := admin.DeleteConsumerGroup("sarama-group"); err != nil {
			t.Error(err)
		}
	}
	if err := admin.DeleteTopic("sarama"); err != nil {
		t.Error(err)
	}
	harness.Eventually(t, limit, func() error {
		topics, err := admin.ListTopics()
		if _, still := topics["sarama"]; still {
			return errors.New("the topic is still there")
		}
		return err
	})
}
