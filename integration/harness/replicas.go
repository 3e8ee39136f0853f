package harness

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
)

// A LogBatch is a record batch as it lies in a segment file. Two replicas of a partition differ in nothing of it.
type LogBatch struct {
	First, Last int64 // offsets
	Epoch       int32 // leader epoch
	Bytes       []byte
}

// ReadLog reads the batches of a partition's directory in offset order. A torn one at the end of the last segment is left out: the process may still write.
func ReadLog(dir string) ([]LogBatch, error) {
	segments, err := filepath.Glob(filepath.Join(dir, "*.log"))
	if err != nil {
		return nil, err
	}
	slices.Sort(segments)
	var all []LogBatch
	for _, segment := range segments {
		text, err := os.ReadFile(segment)
		if errors.Is(err, os.ErrNotExist) {
			continue // deleted by retention meanwhile
		}
		if err != nil {
			return nil, err
		}
		batches, rest := splitBatches(text)
		if len(rest) > 0 && segment != segments[len(segments)-1] {
			return nil, fmt.Errorf("%s: %d bytes at its end are no batch", segment, len(rest))
		}
		all = append(all, batches...)
	}
	for i := 1; i < len(all); i++ {
		if all[i].First <= all[i-1].Last || all[i].Epoch < all[i-1].Epoch {
			return nil, fmt.Errorf("%s: batch %d-%d (epoch %d) follows %d-%d (epoch %d)", dir,
				all[i].First, all[i].Last, all[i].Epoch, all[i-1].First, all[i-1].Last, all[i-1].Epoch)
		}
	}
	return all, nil
}

// splitBatches cuts a segment at the lengths in its batch headers: base offset (8), length (4), leader epoch (4), ..., last offset delta at 23.
func splitBatches(text []byte) (batches []LogBatch, rest []byte) {
	const overhead, header = 12, 61
	for len(text) >= header {
		size := overhead + int(int32(binary.BigEndian.Uint32(text[8:])))
		if size < header || size > len(text) {
			break
		}
		first := int64(binary.BigEndian.Uint64(text))
		batches = append(batches, LogBatch{
			First: first, Last: first + int64(int32(binary.BigEndian.Uint32(text[23:]))),
			Epoch: int32(binary.BigEndian.Uint32(text[12:])), Bytes: text[:size],
		})
		text = text[size:]
	}
	return batches, text
}

// CompareLogs compares the logs in two directories of one partition, byte for byte, up to offset end (exclusive). What only one of them has before the
// other's first batch has left the other with retention, or was deleted: that is no difference.
func CompareLogs(dirA, dirB string, end int64) error {
	a, err := ReadLog(dirA)
	if err != nil {
		return err
	}
	b, err := ReadLog(dirB)
	if err != nil {
		return err
	}
	below := func(batches []LogBatch, start int64) []LogBatch {
		return slices.DeleteFunc(batches, func(batch LogBatch) bool { return batch.First < start || batch.Last >= end })
	}
	start := int64(0)
	if len(a) > 0 && len(b) > 0 {
		start = max(a[0].First, b[0].First)
	}
	a, b = below(a, start), below(b, start)
	for i := range max(len(a), len(b)) {
		switch {
		case i >= len(a):
			return fmt.Errorf("%s ends before batch %d-%d of %s", dirA, b[i].First, b[i].Last, dirB)
		case i >= len(b):
			return fmt.Errorf("%s ends before batch %d-%d of %s", dirB, a[i].First, a[i].Last, dirA)
		case !bytes.Equal(a[i].Bytes, b[i].Bytes):
			return fmt.Errorf("batch %d-%d (epoch %d) of %s and %d-%d (epoch %d) of %s differ",
				a[i].First, a[i].Last, a[i].Epoch, dirA, b[i].First, b[i].Last, b[i].Epoch, dirB)
		}
	}
	return nil
}

// PartitionDir is the broker's directory of a partition; "" when it has none.
func (b *Broker) PartitionDir(topic string, partition int32) string {
	for _, dir := range strings.Split(b.Set["log.dirs"], ",") {
		path := filepath.Join(dir, topic+"-"+strconv.Itoa(int(partition)))
		if _, err := os.Stat(path); err == nil {
			return path
		}
	}
	return ""
}

// CompareReplicas waits until every replica of these topics, or of all topics, __consumer_offsets with them, is in sync, and compares the replicas' files up to
// the high watermark. It returns how many batches it compared: none is no comparison.
func (c *Cluster) CompareReplicas(topics ...string) int {
	c.t.Helper()
	if len(topics) == 0 {
		topics = c.Tree.Children("/brokers/topics") // asked for all topics, kadm leaves out the internal ones
	}
	c.AwaitFullISR(topics...)
	client := c.Client()
	defer client.Close()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	ends, err := kadm.NewClient(client).ListEndOffsets(ctx, topics...)
	if err = errors.Join(err, ends.Error()); err != nil {
		c.t.Fatal(err)
	}
	compared := 0
	ends.Each(func(end kadm.ListedOffset) {
		topic, _ := c.Topic(end.Topic)
		replicas := topic.Partitions[strconv.Itoa(int(end.Partition))]
		first := c.Broker(replicas[0]).PartitionDir(end.Topic, end.Partition)
		batches, err := ReadLog(first)
		if err != nil {
			c.t.Error(err)
		}
		compared += len(batches) * (len(replicas) - 1)
		for _, id := range replicas[1:] {
			if err := CompareLogs(first, c.Broker(id).PartitionDir(end.Topic, end.Partition), end.Offset); err != nil {
				c.t.Error(err)
			}
		}
	})
	return compared
}

// VerifyReplicas has kafka-replica-verification look once at all replicas; it must find no lag and no difference.
func (c *Cluster) VerifyReplicas(topics string) {
	c.t.Helper()
	verification := StartTool(c.t, ApacheVersion, "replica-verification", "--broker-list", c.Addrs()[0], "--topics-include", topics, "--report-interval-ms", "1000")
	defer verification.Kill()
	Eventually(c.t, 90*time.Second, func() error {
		if err := verification.TryOutput(`max lag is`, time.Second); err != nil {
			return fmt.Errorf("no report yet: %w", err)
		}
		lines := strings.Split(strings.TrimSpace(verification.Output()), "\n")
		if last := lines[len(lines)-1]; !strings.Contains(last, "max lag is 0 ") {
			return fmt.Errorf("%s", last)
		}
		return nil
	})
	if strings.Contains(verification.Output(), "doesn't match") {
		c.t.Errorf("replicas differ:\n%s", tail(verification.Output(), 40))
	}
}
