package broker

import (
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"gregor/protocol"
	"gregor/replication"
)

// AlterReplicaLogDirs (34), versions 0-2: moves logs between the log directories of this broker (KIP-113).
//
// Differences from Apache: a start that finds a log in two directories, because a move was interrupted between its two renames, keeps the one that has everything,
// where Apache refuses to start.

func init() { handle(alterReplicaLogDirs) }

func alterReplicaLogDirs(b *Broker, _ *request, r *kmsg.AlterReplicaLogDirsRequest) (kmsg.Response, error) {
	resp := responseTo[*kmsg.AlterReplicaLogDirsResponse](r)
	index := make(map[string]int)
	for _, dir := range r.Dirs {
		for _, t := range dir.Topics {
			i, ok := index[t.Topic]
			if !ok {
				i = len(resp.Topics)
				index[t.Topic] = i
				topic := kmsg.NewAlterReplicaLogDirsResponseTopic()
				topic.Topic = t.Topic
				resp.Topics = append(resp.Topics, topic)
			}
			for _, partition := range t.Partitions {
				answer := kmsg.NewAlterReplicaLogDirsResponseTopicPartition()
				answer.Partition = partition
				answer.ErrorCode = int16(b.moveLog(protocol.TopicPartition{Topic: t.Topic, Partition: partition}, dir.Dir))
				resp.Topics[i].Partitions = append(resp.Topics[i].Partitions, answer)
			}
		}
	}
	return resp, nil
}

// moveLog moves one partition's log. A replica that this broker is to have, but does not have yet, is REPLICA_NOT_AVAILABLE.
func (b *Broker) moveLog(tp protocol.TopicPartition, dir string) protocol.ErrorCode {
	code := b.replicas.AlterLogDir(tp, dir)
	if code == protocol.UnknownTopicOrPartition && b.metadata.HasPartition(tp) {
		code = protocol.ReplicaNotAvailable
	}
	return code
}

// moveConfig is how logs move between the directories of this broker.
func (b *Broker) moveConfig() replication.MoveConfig {
	c := b.config
	threads := len(c.LogDirs())
	if c.IsSet("num.replica.alter.log.dirs.threads") {
		threads = max(c.Int("num.replica.alter.log.dirs.threads"), 1)
	}
	meter := rateMeter{
		windows: c.Int("alter.log.dirs.replication.quota.window.num"),
		window:  time.Duration(c.Int("alter.log.dirs.replication.quota.window.size.seconds")) * time.Second,
	}
	return replication.MoveConfig{
		Threads: threads, MaxBytes: c.Int("replica.fetch.max.bytes"),
		Throttle: func(bytes int, now time.Time) time.Duration {
			return meter.pause(bytes, c.Long("replica.alter.log.dirs.io.max.bytes.per.second"), now)
		},
	}
}
