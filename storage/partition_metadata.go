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
