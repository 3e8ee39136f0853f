package broker

import (
	"slices"

	"github.com/twmb/franz-go/pkg/kmsg"

	"gregor/protocol"
	"gregor/storage"
)

// AlterReplicaLogDirs (34), versions 0-2: moves logs between the log directories of this broker (KIP-113).
//
// Differences from Apache: a move to another directory is not made yet and answers UNSUPPORTED_VERSION; a directory named for a partition that is not here yet
// is not remembered for its creation. All refusals are those of Apache, and so is a "move" to where the log is.

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

// futureDirSuffix is as long as what Kafka appends to a partition's name while its log is copied: ".<uuid without dashes>-future".
const futureDirSuffix = 1 + 32 + len("-future")

// moveLog follows ReplicaManager.alterReplicaLogDirs.
func (b *Broker) moveLog(tp protocol.TopicPartition, dir string) protocol.ErrorCode {
	if len(tp.String())+futureDirSuffix > 255 {
		return protocol.InvalidTopicException
	}
	dirs := b.logs.Dirs()
	i := slices.IndexFunc(dirs, func(d storage.DirInfo) bool { return d.Path == dir })
	switch {
	case i < 0:
		return protocol.LogDirNotFound
	case dirs[i].Err != nil:
		return protocol.KafkaStorageError
	}
	partition, code := b.replicas.Partition(tp)
	switch {
	case code == protocol.UnknownTopicOrPartition && b.metadata.HasPartition(tp):
		return protocol.ReplicaNotAvailable
	case code != protocol.None:
		return code
	case partition.Log().Dir() == dir:
		return protocol.None
	}
	return protocol.UnsupportedVersion
}
