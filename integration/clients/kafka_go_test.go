package clients

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/segmentio/kafka-go"

	"gregor/integration/clients/ready"
	"gregor/integration/harness"
)

func TestKafkaGo(t *testing.T) {
	b := ready.Broker(t)
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	client := &kafka.Client{Addr: kafka.TCP(b.Addr), Timeout: 20 * time.Second}
	created, err := client.CreateTopics(ctx, &kafka.CreateTopicsRequest{Topics: []kafka.TopicConfig{{
		Topic: "segmentio", NumPartitions: partitions, ReplicationFactor: 1, ConfigEntries: []kafka.ConfigEntry{{ConfigName: "retention.ms", ConfigValue: "3600000"}},
	}}})
	if err != nil || created.Errors["segmentio"] != nil {
		t.Fatal(err, created)
	}
	b.AwaitTopics("segmentio")

	codecs := map[string]kafka.Compression{"none": 0, "gzip": kafka.Gzip, "snappy": kafka.Snappy, "lz4": kafka.Lz4, "zstd": kafka.Zstd}
	order := []string{"none", "gzip", "snappy", "lz4", "zstd"}
	var mu sync.Mutex // partitions are written to at the same time
	acked := map[string]place{}
	for _, codec := range order {
		w := &kafka.Writer{Addr: kafka.TCP(b.Addr), Topic: "segmentio", Balancer: &kafka.Hash{}, Compression: codecs[codec], BatchTimeout: 5 * time.Millisecond, RequiredAcks: kafka.RequireAll, Completion: func(batch []kafka.Message, _ error) {
			mu.Lock()
			defer mu.Unlock()
			for _, m := range batch {
				acked[string(m.Value)] = place{int32(m.Partition), m.Offset}
			}
		}}
		var batch []kafka.Message
		for n := range perCodec {
			batch = append(batch, kafka.Message{Key: []byte(key(n)), Value: []byte(value(codec, n)), Headers: []kafka.Header{{Key: "codec", Value: []byte(codec)}}})
		}
		if err := w.WriteMessages(ctx, batch...); err != nil {
			t.Fatalf("%s: %v", codec, err)
		}
		if err := w.Close(); err != nil {
			t.Error(err)
		}
	}
	check(t, order, acked, kafkaGoConsume(ctx, t, b.Addr, perCodec*len(order)))
	kafkaGoAdmin(ctx, t, client, int64(perCodec*len(order)))
}

func kafkaGoConsume(ctx context.Context, t *testing.T, addr string, want int) []received {
	var mu sync.Mutex
	var all []received
	var wg sync.WaitGroup
	ctx, done := context.WithCancel(ctx)
	defer done()
	for range 2 {
		reader := kafka.NewReader(kafka.ReaderConfig{Brokers: []string{addr}, GroupID: "segmentio-group", Topic: "segmentio", StartOffset: kafka.FirstOffset, MaxWait: 100 * time.Millisecond})
		wg.Go(func() {
			defer reader.Close()
			var got []kafka.Message
			defer func() {
				if err := reader.CommitMessages(context.Background(), got...); err != nil {
					t.Errorf("commit: %v", err)
				}
			}()
			for {
				m, err := reader.FetchMessage(ctx)
				if err != nil {
					if ctx.Err() == nil {
						t.Errorf("fetch: %v", err)
					}
					return
				}
				mu.Lock()
				all = append(all, received{int32(m.Partition), m.Offset, string(m.Key), string(m.Value), kafkaGoHeader(m)})
				full := len(all) >= want
				mu.Unlock()
				if got = append(got, m); full {
					done()
				}
			}
		})
	}
	wg.Wait()
	return all
}

// kafkaGoHeader is the value of a record's only header.
func kafkaGoHeader(m kafka.Message) string {
	if len(m.Headers) != 1 || m.Headers[0].Key != "codec" {
		return fmt.Sprintf("headers %v", m.Headers)
	}
	return string(m.Headers[0].Value)
}

func kafkaGoAdmin(ctx context.Context, t *testing.T, client *kafka.Client, total int64) {
	offsets, err := client.OffsetFetch(ctx, &kafka.OffsetFetchRequest{GroupID: "segmentio-group", Topics: map[string][]int{"segmentio": {0, 1, 2}}})
	if err != nil || offsets.Error != nil {
		t.Fatal(err, offsets)
	}
	var sum int64
	for _, p := range offsets.Topics["segmentio"] {
		sum += max(p.CommittedOffset, 0)
	}
	if sum != total {
		t.Errorf("committed %d, want %d", sum, total)
	}
	configs, err := client.DescribeConfigs(ctx, &kafka.DescribeConfigsRequest{Resources: []kafka.DescribeConfigRequestResource{{
		ResourceType: kafka.ResourceTypeTopic, ResourceName: "segmentio", ConfigNames: []string{"retention.ms"},
	}}})
	if err != nil || len(configs.Resources) != 1 || len(configs.Resources[0].ConfigEntries) != 1 || configs.Resources[0].ConfigEntries[0].ConfigValue != "3600000" {
		t.Errorf("config: %v %+v", err, configs)
	}
	altered, err := client.IncrementalAlterConfigs(ctx, &kafka.IncrementalAlterConfigsRequest{Resources: []kafka.IncrementalAlterConfigsRequestResource{{
		ResourceType: kafka.ResourceTypeTopic, ResourceName: "segmentio", Configs: []kafka.IncrementalAlterConfigsRequestConfig{{Name: "segment.bytes", Value: "100000000"}},
	}}})
	if err != nil || altered.Resources[0].Error != nil {
		t.Errorf("alter: %v %+v", err, altered)
	}
	groups, err := client.DescribeGroups(ctx, &kafka.DescribeGroupsRequest{GroupIDs: []string{"segmentio-group"}})
	if err != nil || len(groups.Groups) != 1 || groups.Groups[0].GroupState != "Empty" {
		t.Errorf("group: %v %+v", err, groups)
	}
	deleted, err := client.DeleteGroups(ctx, &kafka.DeleteGroupsRequest{GroupIDs: []string{"segmentio-group"}})
	if err != nil || deleted.Errors["segmentio-group"] != nil {
		t.Errorf("delete group: %v %+v", err, deleted)
	}
	topics, err := client.DeleteTopics(ctx, &kafka.DeleteTopicsRequest{Topics: []string{"segmentio"}})
	if err != nil || topics.Errors["segmentio"] != nil {
		t.Errorf("delete topic: %v %+v", err, topics)
	}
	harness.Eventually(t, limit, func() error {
		meta, err := client.Metadata(ctx, &kafka.MetadataRequest{})
		if err != nil {
			return err
		}
		for _, topic := range meta.Topics {
			if topic.Name == "segmentio" {
				return errors.New("the topic is still there")
			}
		}
		return nil
	})
}
