// Package storage keeps partitions' logs on disk in Apache Kafka's own files, and all logs of a broker.
//
// # Files
//
// A log directory (an entry of log.dirs):
//
//	.lock                               locked while a broker uses the directory
//	.kafka_cleanshutdown                there after a clean stop only; gone before the first log is opened
//	meta.properties                     version=0, broker.id, cluster.id
//	recovery-point-offset-checkpoint    first offset that may not be durable, by partition
//	log-start-offset-checkpoint         log starts that lie behind the first segment's base
//	replication-offset-checkpoint       high watermarks
//	cleaner-offset-checkpoint           kept as it is
//	<topic>-<partition>/                a log
//	<topic>-<partition>.<32 hex>-delete a log that is being removed; -stray is left alone
//	<topic>-<partition>.<32 hex>-future the copy of a log that moves here from another directory, see future.go
//
// A partition's directory; %020d is a base offset:
//
//	%020d.log                record batches, one behind the other
//	%020d.index, .timeindex  see indexes.go; .txnindex see txn_index.go
//	%020d.snapshot           producers as of the offset in the name, see producer_snapshot.go
//	leader-epoch-checkpoint  see checkpoint.go
//	partition.metadata       version: 0, topic_id
//
// A log that was never written has no files; the first append makes them, partition.metadata before the others and durably. An epoch without a batch is in
// leader-epoch-checkpoint only by chance: a start forgets it.
//
// # What survives what
//
// The process dies: everything that was written, since it is in the page cache. The next start finds no
// .kafka_cleanshutdown and checks all batches from the recovery point on, so that a batch that was half written is cut,
// and what was gathered in memory (index entries) is built anew.
//
// The machine dies: everything below the recovery point. Its offset is raised only after the log files, indexes, snapshots, leader epochs and the
// directory's entries below it were synced, and stored with a rename. Before a log that was cut grows again, no file claims a recovery point behind the cut. Above it, what the disk has; recovery cuts at the first batch
// whose checksum is wrong, drops the segments behind, and says so. Checkpoints, epochs, metadata are replaced by rename, so the old or
// the new one is there.
//
// A file is missing or damaged: an index is built from its log file when it is first used; a producer snapshot counts as missing, and
// an older one and the batches behind it stand in; leader epochs are built from the batches; a checkpoint counts as empty (recovery from the
// first segment; log start at the first segment; high watermark at the log start).
//
// The disk reports an error: the directory goes offline, its logs are closed, the others live on.
//
// # Who waits for whom
//
// One lock per log, held by its one writer. Readers take an immutable list of segments and the tail, a consistent pair of log end and
// position; a segment's files close when the log and the last reader have let go. No fsync happens under a log's lock, but that of partition.metadata before the first batch. Lock order:
// Manager.creation, Manager.mu, Log.flushMu, Log.mu, segment.mu, indexFile.mu; tail.mu and epochCache.mu are leaves.
package storage
