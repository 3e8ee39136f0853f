package storage

import (
	"errors"
	"fmt"

	"gregor/protocol"
)

// ErrStorage marks an I/O error that took a log directory offline, or a call that met such a directory:
// KAFKA_STORAGE_ERROR on the wire.
var ErrStorage = errors.New("log directory is offline")

// ErrBelowLogEnd refuses a follower's append that begins below the log end.
var ErrBelowLogEnd = fmt.Errorf("unexpected offset in append: %w", protocol.OffsetOutOfRange)

// errClosed answers calls on a log that was deleted or closed under the caller's hands. For a client that means
// that this broker has no replica any more.
var errClosed = fmt.Errorf("the log is closed: %w", protocol.NotLeaderOrFollower)

// errSegmentGone tells a reader that the segment it looked up was dropped meanwhile; it looks again.
var errSegmentGone = errors.New("segment was removed")

// corrupt reports bytes in a segment that cannot be a batch: CORRUPT_MESSAGE on the wire.
func corrupt(format string, args ...any) error {
	return fmt.Errorf("%s: %w", fmt.Sprintf(format, args...), protocol.CorruptMessage)
}

// startError refuses to start in the words of Apache Kafka, which people search for.
type startError string

func (e startError) Error() string { return string(e) }

func refuseStart(format string, args ...any) error { return startError(fmt.Sprintf(format, args...)) }
