package sim

import (
	"slices"

	"gregor/protocol"
)

const noEpoch = -1

func (l *simLog) AssignEpochStart(leaderEpoch int32) error {
	if err := l.usable(); err != nil {
		return err
	}
	l.assign(leaderEpoch, l.end())
	l.leading = leaderEpoch
	return nil
}

// assign records where an epoch starts; entries that contradict it give way.
func (l *simLog) assign(epoch int32, start int64) {
	n := len(l.epochs)
	if epoch < 0 || n > 0 && l.epochs[n-1].epoch == epoch && l.epochs[n-1].start <= start {
		return
	}
	for n > 0 && (l.epochs[n-1].epoch >= epoch || l.epochs[n-1].start >= start) {
		n--
	}
	l.epochs = append(l.epochs[:n], epochStart{epoch, start})
}

func (l *simLog) EndOffsetForEpoch(asked int32) (foundEpoch int32, endOffset int64) {
	last := len(l.epochs) - 1
	if asked == noEpoch || last < 0 || asked > l.epochs[last].epoch {
		return noEpoch, -1
	}
	if asked == l.epochs[last].epoch {
		return asked, l.end()
	}
	next := slices.IndexFunc(l.epochs, func(e epochStart) bool { return e.epoch > asked })
	if next == 0 {
		return asked, l.epochs[0].start
	}
	return l.epochs[next-1].epoch, l.epochs[next].start
}

func (l *simLog) EpochForOffset(offset int64) int32 {
	for i := len(l.epochs) - 1; i >= 0; i-- {
		if l.epochs[i].start <= offset {
			return l.epochs[i].epoch
		}
	}
	return noEpoch
}

func (l *simLog) LatestEpoch() int32 {
	if len(l.epochs) == 0 {
		return noEpoch
	}
	return l.epochs[len(l.epochs)-1].epoch
}

// truncateEpochs drops the epochs that begin at or behind offset.
func (l *simLog) truncateEpochs(offset int64) {
	for len(l.epochs) > 0 && l.epochs[len(l.epochs)-1].start >= offset {
		l.epochs = l.epochs[:len(l.epochs)-1]
	}
}

// truncateHead drops the epochs that end before offset; the one that offset lies in begins there now.
func (l *simLog) truncateHead(offset int64) {
	n := 0
	for n < len(l.epochs) && l.epochs[n].start <= offset {
		n++
	}
	if n > 0 {
		l.epochs = slices.Clone(l.epochs[n-1:])
		l.epochs[0].start = offset
	}
}

// reopened is the log as the next life of the process finds it. A power failure takes what was never flushed.
func (l *simLog) reopened(power bool) *simLog {
	l.closed = true
	next := *l
	next.closed, next.leading = false, notLeading
	next.records, next.epochs = slices.Clone(l.records), slices.Clone(l.epochs)
	if power {
		next.records = next.records[:max(l.flushed-l.base, 0)]
	}
	next.truncateEpochs(next.end()) // an epoch without records is forgotten by a restart
	next.start = min(next.start, next.end())
	next.hw = max(min(next.checkpoint, next.end()), next.start)
	return &next
}

// disk is a node's logs. It outlives the process.
type disk struct {
	node    *node
	logs    map[protocol.TopicPartition]*simLog
	futures map[protocol.TopicPartition]*simLog // moves_test.go
}

func (d *disk) get(tp protocol.TopicPartition) *simLog { return d.logs[tp] }

func (d *disk) create(tp protocol.TopicPartition, id protocol.TopicID) *simLog {
	l := d.logs[tp]
	if l == nil {
		l = &simLog{node: d.node, tp: tp, id: id, config: &d.node.world.options.log, leading: notLeading, dir: dirs[0]}
		d.logs[tp] = l
	}
	return l
}

// reopen closes the logs for one life and opens them for the next.
func (d *disk) reopen(power bool) {
	for _, logs := range []map[protocol.TopicPartition]*simLog{d.logs, d.futures} {
		for tp, l := range logs {
			logs[tp] = l.reopened(power)
		}
	}
}

// mayLose reports whether a power failure now would take records.
func (d *disk) mayLose() bool {
	for _, l := range d.logs {
		if l.flushed < l.end() {
			return true
		}
	}
	return false
}
