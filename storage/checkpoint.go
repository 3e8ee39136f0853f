package storage

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strconv"
	"strings"

	"gregor/protocol"
)

// Checkpoint text (org.apache.kafka.server.common.CheckpointFile):
//
//	0            version
//	2            number of entries
//	t 0 42       entries: here "<topic> <partition> <offset>", in leader-epoch-checkpoint "<epoch> <start offset>"
//	t 1 7
const checkpointVersion = 0

// parseCheckpoint hands every entry line to entry, split at blanks. Empty data is an empty checkpoint, as Kafka
// creates such files empty. An error says which line.
func parseCheckpoint(data []byte, entry func(fields []string) error) error {
	if len(data) == 0 {
		return nil
	}
	lines := bufio.NewScanner(bytes.NewReader(data))
	next := func() (string, bool) { ok := lines.Scan(); return strings.TrimRight(lines.Text(), "\r"), ok }

	if v, _ := next(); v != strconv.Itoa(checkpointVersion) {
		return fmt.Errorf("checkpoint line 1: version %.20q, want %d", v, checkpointVersion)
	}
	c, _ := next()
	count, err := strconv.Atoi(c)
	if err != nil || count < 0 {
		return fmt.Errorf("checkpoint line 2: %.20q is no number of entries", c)
	}
	n := 0
	for line, ok := next(); ok; line, ok = next() {
		if err := entry(strings.Fields(line)); err != nil {
			return fmt.Errorf("checkpoint line %d: %w", n+3, err)
		}
		n++
	}
	if err := lines.Err(); err != nil {
		return fmt.Errorf("checkpoint: %w", err)
	}
	if n != count {
		return fmt.Errorf("checkpoint: %d entries, the head says %d", n, count)
	}
	return nil
}

func parseOffsetCheckpoint(data []byte) (map[protocol.TopicPartition]int64, error) {
	offsets := map[protocol.TopicPartition]int64{}
	err := parseCheckpoint(data, func(f []string) error {
		if len(f) != 3 {
			return errors.New("not <topic> <partition> <offset>")
		}
		p, err1 := strconv.ParseInt(f[1], 10, 32)
		o, err2 := strconv.ParseInt(f[2], 10, 64)
		if err1 != nil || err2 != nil || p < 0 || o < 0 {
			return errors.New("not <topic> <partition> <offset>")
		}
		offsets[protocol.TopicPartition{Topic: f[0], Partition: int32(p)}] = o
		return nil
	})
	if err != nil {
		return nil, err
	}
	return offsets, nil
}

func formatOffsetCheckpoint(offsets map[protocol.TopicPartition]int64) []byte {
	tps := make([]protocol.TopicPartition, 0, len(offsets))
	for tp := range offsets {
		tps = append(tps, tp)
	}
	slices.SortFunc(tps, func(a, b protocol.TopicPartition) int {
		if c := strings.Compare(a.Topic, b.Topic); c != 0 {
			return c
		}
		return int(a.Partition) - int(b.Partition)
	})
	b := fmt.Appendf(nil, "%d\n%d\n", checkpointVersion, len(tps))
	for _, tp := range tps {
		b = fmt.Appendf(b, "%s %d %d\n", tp.Topic, tp.Partition, offsets[tp])
	}
	return b
}

// readOffsetCheckpoint returns an empty map for a file that is missing.
func readOffsetCheckpoint(path string) (map[protocol.TopicPartition]int64, error) {
	data, err := readSmallFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return map[protocol.TopicPartition]int64{}, nil
	}
	if err != nil {
		return nil, err
	}
	return parseOffsetCheckpoint(data)
}
