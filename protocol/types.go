package protocol

import (
	"encoding/base64"
	"fmt"
	"strconv"
)

// TopicPartition names one partition of one topic.
type TopicPartition struct {
	Topic     string
	Partition int32
}

// String is Kafka's spelling, which is also the name of the partition's directory: topic-partition.
func (tp TopicPartition) String() string {
	return tp.Topic + "-" + strconv.Itoa(int(tp.Partition))
}

// TopicID is the 16-byte identity of a topic (KIP-516). The zero value means "no id".
type TopicID [16]byte

// String is the form used in znodes and partition.metadata: 22 characters of unpadded base64url.
func (id TopicID) String() string { return base64.RawURLEncoding.EncodeToString(id[:]) }

// IsZero reports whether the topic has no id.
func (id TopicID) IsZero() bool { return id == TopicID{} }

// ParseTopicID reads the 22-character form.
func ParseTopicID(s string) (TopicID, error) {
	var id TopicID
	b, err := base64.RawURLEncoding.DecodeString(s)
	if err != nil || len(b) != len(id) {
		return id, fmt.Errorf("topic id %q is not 22 characters of base64url", s)
	}
	copy(id[:], b)
	return id, nil
}
