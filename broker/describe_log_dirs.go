package broker

import (
	"cmp"
	"slices"

	"github.com/twmb/franz-go/pkg/kmsg"

	"gregor/protocol"
	"gregor/storage"
)

// DescribeLogDirs (35), versions 0-4: this broker's log directories and the sizes of the logs in them.
//
// Differences from Apache: none known.

func init() { handle(describeLogDirs) }

func describeLogDirs(b *Broker, _ *request, r *kmsg.DescribeLogDirsRequest) (kmsg.Response, error) {
	resp := responseTo[*kmsg.DescribeLogDirsResponse](r)
	asked := askedPartitions(r)
	for _, dir := range b.logs.Dirs() {
		answer := kmsg.NewDescribeLogDirsResponseDir()
		answer.Dir = dir.Path
		if dir.Err != nil {
			answer.ErrorCode = int16(protocol.KafkaStorageError)
		} else {
			answer.TotalBytes, answer.UsableBytes = dir.TotalBytes, dir.UsableBytes
			answer.Topics = b.describeLogs(dir.Logs, asked)
		}
		resp.Dirs = append(resp.Dirs, answer)
	}
	return resp, nil
}

// askedPartitions is the set of partitions a request wants to see, nil for all.
func askedPartitions(r *kmsg.DescribeLogDirsRequest) map[protocol.TopicPartition]bool {
	if r.Topics == nil {
		return nil
	}
	asked := make(map[protocol.TopicPartition]bool)
	for _, t := range r.Topics {
		for _, p := range t.Partitions {
			asked[protocol.TopicPartition{Topic: t.Topic, Partition: p}] = true
		}
	}
	return asked
}

// describeLogs lists logs by topic.
func (b *Broker) describeLogs(logs []*storage.Log, asked map[protocol.TopicPartition]bool) []kmsg.DescribeLogDirsResponseDirTopic {
	byTopic := slices.Clone(logs)
	slices.SortFunc(byTopic, func(x, y *storage.Log) int {
		return cmp.Or(cmp.Compare(x.TopicPartition().Topic, y.TopicPartition().Topic), cmp.Compare(x.TopicPartition().Partition, y.TopicPartition().Partition))
	})
	var topics []kmsg.DescribeLogDirsResponseDirTopic
	for _, l := range byTopic {
		tp := l.TopicPartition()
		if asked != nil && !asked[tp] {
			continue
		}
		if len(topics) == 0 || topics[len(topics)-1].Topic != tp.Topic {
			t := kmsg.NewDescribeLogDirsResponseDirTopic()
			t.Topic = tp.Topic
			topics = append(topics, t)
		}
		p := kmsg.NewDescribeLogDirsResponseDirTopicPartition()
		p.Partition, p.Size, p.OffsetLag, p.IsFuture = tp.Partition, l.Size(), b.offsetLag(l), l.IsFuture()
		t := &topics[len(topics)-1]
		t.Partitions = append(t.Partitions, p)
	}
	return topics
}

// offsetLag is how far a log is behind the high watermark, and a future log behind the log that it is a copy of; -1 when this broker was not told by a controller to keep it.
func (b *Broker) offsetLag(l *storage.Log) int64 {
	p, code := b.replicas.Partition(l.TopicPartition())
	switch {
	case code != protocol.None:
		return -1
	case l.IsFuture():
		return p.Log().LogEndOffset() - l.LogEndOffset()
	}
	return max(l.HighWatermark()-l.LogEndOffset(), 0)
}
