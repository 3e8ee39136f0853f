package storage

import (
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"strconv"
	"strings"

	"gregor/protocol"
)

// Files in a log directory (an entry of log.dirs) and in a partition's directory. kafka.log.LogManager,
// org.apache.kafka.storage.internals.log.LogFileUtils.
const (
	lockFile                = ".lock"
	cleanShutdownFile       = ".kafka_cleanshutdown"
	metaPropertiesFile      = "meta.properties"
	recoveryPointCheckpoint = "recovery-point-offset-checkpoint"
	logStartCheckpoint      = "log-start-offset-checkpoint"
	replicationCheckpoint   = "replication-offset-checkpoint"
	remoteIndexCacheDir     = "remote-log-index-cache"

	leaderEpochFile       = "leader-epoch-checkpoint"
	partitionMetadataFile = "partition.metadata"

	logSuffix       = ".log"
	indexSuffix     = ".index"
	timeIndexSuffix = ".timeindex"
	txnIndexSuffix  = ".txnindex"
	snapshotSuffix  = ".snapshot"

	deletedSuffix = ".deleted"
	cleanedSuffix = ".cleaned"
	swapSuffix    = ".swap"

	deleteDirSuffix = "-delete"
	futureDirSuffix = "-future"
	strayDirSuffix  = "-stray"
)

// maxDirName is the longest file name of the usual file systems.
const maxDirName = 255

// offsetFileName is the name of a segment's file or of a snapshot: twenty digits and the suffix.
func offsetFileName(offset int64, suffix string) string {
	return fmt.Sprintf("%020d%s", offset, suffix)
}

// parseOffsetFileName reads the offset of a name made by offsetFileName. ok is false for any other name.
func parseOffsetFileName(name, suffix string) (offset int64, ok bool) {
	digits, found := strings.CutSuffix(name, suffix)
	if !found || len(digits) == 0 || len(digits) > 20 || digits[0] == '+' || digits[0] == '-' {
		return 0, false
	}
	offset, err := strconv.ParseInt(digits, 10, 64)
	return offset, err == nil
}

// dirKind says what a directory in a log directory is.
type dirKind int

const (
	partitionDir dirKind = iota
	deletedDir           // <topic>-<p>.<32 hex>-delete: to be removed
	futureDir            // <topic>-<p>.<32 hex>-future: the copy of a log that moves to this directory
	strayDir             // -stray: left alone
	foreignDir           // nothing of Kafka's
)

// classifyDir reads the name of a directory in a log directory. tp is set for a partitionDir and for a futureDir.
func classifyDir(name string) (kind dirKind, tp protocol.TopicPartition) {
	for suffix, kind := range map[string]dirKind{
		deleteDirSuffix: deletedDir, futureDirSuffix: futureDir, strayDirSuffix: strayDir,
	} {
		if head, ok := strings.CutSuffix(name, suffix); ok {
			dot, dash := strings.LastIndexByte(head, '.'), strings.IndexByte(head, '-')
			if dash < 1 || dot < dash+2 || dot == len(head)-1 {
				return foreignDir, tp
			}
			if kind == futureDir {
				if tp, ok = parsePartitionName(head[:dot]); !ok {
					return foreignDir, tp
				}
			}
			return kind, tp
		}
	}
	if tp, ok := parsePartitionName(name); ok {
		return partitionDir, tp
	}
	return foreignDir, tp
}

// parsePartitionName reads <topic>-<partition>.
func parsePartitionName(name string) (tp protocol.TopicPartition, ok bool) {
	dash := strings.LastIndexByte(name, '-')
	if dash < 1 {
		return tp, false
	}
	p, err := strconv.ParseInt(name[dash+1:], 10, 32)
	if err != nil || p < 0 || name[dash+1] == '+' {
		return tp, false
	}
	return protocol.TopicPartition{Topic: name[:dash], Partition: int32(p)}, true
}

// deleteDirName is a fresh name for a partition's directory that is to be removed. The topic is cut so that the
// name fits a file system (UnifiedLog.logDeleteDirName).
func deleteDirName(tp protocol.TopicPartition) string {
	tail := fmt.Sprintf("-%d.%s%s", tp.Partition, randomHex(), deleteDirSuffix)
	return tp.Topic[:min(len(tp.Topic), maxDirName-len(tail))] + tail
}

// futureDirName is a fresh name for the directory that a log is copied to. The topic stands in it whole, because a start reads it (UnifiedLog.logFutureDirName).
func futureDirName(tp protocol.TopicPartition) string {
	return tp.String() + "." + randomHex() + futureDirSuffix
}

// CanHaveFuture reports whether the name of the directory that a log would be copied to fits a file system (KAFKA-4893).
func CanHaveFuture(tp protocol.TopicPartition) bool { return len(futureDirName(tp)) <= maxDirName }

// randomHex is a random id, as Kafka makes such names unique: 32 digits.
func randomHex() string {
	var id [16]byte
	rand.Read(id[:])
	return hex.EncodeToString(id[:])
}
