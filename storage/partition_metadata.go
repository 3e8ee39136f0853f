package storage

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"strings"

	"gregor/protocol"
)

// partition.metadata (PartitionMetadataFile), without a final newline:
//
//	version: 0
//	topic_id: 22 characters
func formatPartitionMetadata(id protocol.TopicID) []byte {
	return fmt.Appendf(nil, "version: 0\ntopic_id: %s", id)
}

func parsePartitionMetadata(data []byte) (protocol.TopicID, error) {
	fields := map[string]string{}
	for line := range strings.Lines(string(data)) {
		key, value, ok := strings.Cut(strings.TrimRight(line, "\r\n"), ":")
		if ok {
			fields[strings.TrimSpace(key)] = strings.TrimSpace(value)
		}
	}
	if v := fields["version"]; v != "0" {
		return protocol.TopicID{}, fmt.Errorf("%s: version %.20q, want 0", partitionMetadataFile, v)
	}
	id, err := protocol.ParseTopicID(fields["topic_id"])
	if err == nil && id.IsZero() {
		err = errors.New("the topic id is zero")
	}
	if err != nil {
		return protocol.TopicID{}, fmt.Errorf("%s: %w", partitionMetadataFile, err)
	}
	return id, nil
}

// readPartitionMetadata returns the zero id when the file is missing.
func readPartitionMetadata(dir string) (protocol.TopicID, error) {
	data, err := readSmallFile(filepath.Join(dir, partitionMetadataFile))
	if errors.Is(err, fs.ErrNotExist) {
		return protocol.TopicID{}, nil
	}
	if err != nil {
		return protocol.TopicID{}, err
	}
	return parsePartitionMetadata(data)
}

// topicIdentity is the topic id of a log.
type topicIdentity struct {
	id     protocol.TopicID
	stored bool // partition.metadata has it
}

// TopicID is the id of the topic that the log belongs to, zero when nobody has told it.
func (l *Log) TopicID() protocol.TopicID {
	if t := l.topicID.Load(); t != nil {
		return t.id
	}
	return protocol.TopicID{}
}

// SetTopicID gives the log its topic's id when it has none. A log keeps the id it has: another one is INCONSISTENT_TOPIC_ID.
//
// partition.metadata is written at once when the log has something to lose, otherwise in the background, and durably before its first batch at the latest
// (UnifiedLog.assignTopicId, maybeFlushMetadataFile): until then the controller tells the id again, and an empty log may as well belong to a topic that was made anew.
func (l *Log) SetTopicID(id protocol.TopicID) error {
	if id.IsZero() {
		return nil
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if had := l.TopicID(); !had.IsZero() {
		if had != id {
			return fmt.Errorf("%s has topic id %s, not %s: %w", l.tp, had, id, protocol.InconsistentTopicID)
		}
		return nil
	}
	l.topicID.Store(&topicIdentity{id: id})
	if l.segments.Load().active().isAbsent() {
		l.manager.scheduleTopicID(l)
		return nil
	}
	if err := l.storeTopicIDLocked(); err != nil {
		return l.failed("write partition.metadata", err)
	}
	return nil
}

// storeTopicIDLocked writes partition.metadata unless it is there.
func (l *Log) storeTopicIDLocked() error {
	t := l.topicID.Load()
	if t == nil || t.stored {
		return nil
	}
	if err := writeFileAtomic(filepath.Join(l.path, partitionMetadataFile), formatPartitionMetadata(t.id)); err != nil {
		return err
	}
	l.topicID.Store(&topicIdentity{t.id, true})
	return nil
}
