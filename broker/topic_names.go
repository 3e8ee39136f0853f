package broker

import (
	"fmt"
	"strings"

	"gregor/protocol"
)

// Names of the topics that Kafka makes for itself. Share groups do not exist on ZooKeeper, but the name of their topic is taken.
const (
	groupMetadataTopic    = "__consumer_offsets"
	transactionStateTopic = "__transaction_state"
	shareGroupStateTopic  = "__share_group_state"
	clusterMetadataTopic  = "__cluster_metadata" // KRaft's; nobody may create it
)

// maxTopicNameLength leaves room for "-partition.uuid-delete" within the 255 bytes of a file name (Topic.MAX_NAME_LENGTH).
const maxTopicNameLength = 249

// isInternalTopic reports whether a topic is written by the broker only and shown as internal in Metadata.
func isInternalTopic(name string) bool {
	return name == groupMetadataTopic || name == transactionStateTopic || name == shareGroupStateTopic
}

// checkTopicName refuses a name that Kafka's Topic.validate refuses, with INVALID_TOPIC_EXCEPTION.
func checkTopicName(name string) error {
	switch {
	case name == "":
		return newAPIError(protocol.InvalidTopicException, "A topic name may not be empty.")
	case name == "." || name == "..":
		return newAPIError(protocol.InvalidTopicException, "A topic may not be named %q.", name)
	case len(name) > maxTopicNameLength:
		return newAPIError(protocol.InvalidTopicException, "The topic name %q has %d characters, at most %d are allowed.", name, len(name), maxTopicNameLength)
	}
	for _, c := range []byte(name) {
		if !isTopicNameByte(c) {
			return newAPIError(protocol.InvalidTopicException, "The topic name %q holds %s: only ASCII letters and digits, '.', '_' and '-' are allowed.", name, nameOfByte(c))
		}
	}
	return nil
}

func isTopicNameByte(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '.' || c == '_' || c == '-'
}

func nameOfByte(c byte) string {
	if c > ' ' && c < 0x7f {
		return fmt.Sprintf("'%c'", c)
	}
	return fmt.Sprintf("the byte 0x%02x", c)
}

// collidingTopic returns a topic of topics whose metric names cannot be told from those of name: '.' and '_' are the same there (Topic.hasCollision).
// A topic of the very same name is no collision.
func collidingTopic(name string, topics []string) (string, bool) {
	if !strings.ContainsAny(name, "._") {
		return "", false
	}
	folded := foldTopicName(name)
	for _, t := range topics {
		if t != name && foldTopicName(t) == folded {
			return t, true
		}
	}
	return "", false
}

func foldTopicName(name string) string { return strings.ReplaceAll(name, ".", "_") }
