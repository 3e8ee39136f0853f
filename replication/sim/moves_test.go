package sim

import (
	"errors"
	"fmt"
	"slices"

	"gregor/protocol"
	"gregor/replication"
)

// A node has two log directories, between which its log is moved: the copy is a log like the other, for which all rules hold.
var dirs = [2]string{"first", "second"}

func (s simLogs) CheckDir(string) error                  { return nil }
func (s simLogs) Prefer(protocol.TopicPartition, string) {}

func (s simLogs) Future(tp protocol.TopicPartition) replication.Log {
	if l := s.disk.futures[tp]; l != nil {
		return l
	}
	return nil
}

func (s simLogs) CreateFuture(tp protocol.TopicPartition, dir string) (replication.Log, error) {
	current := s.disk.logs[tp]
	future := &simLog{node: current.node, tp: tp, id: current.id, config: current.config, leading: notLeading, dir: dir}
	s.disk.futures[tp] = future
	return future, nil
}

func (s simLogs) DeleteFuture(tp protocol.TopicPartition) error {
	if l := s.disk.futures[tp]; l != nil {
		l.closed = true
		delete(s.disk.futures, tp)
	}
	return nil
}

// ReplaceWithFuture checks what the real one cannot: that the copy is one.
func (s simLogs) ReplaceWithFuture(tp protocol.TopicPartition) (replication.Log, error) {
	old, future := s.disk.logs[tp], s.disk.futures[tp]
	if err := errors.Join(old.usable(), future.usable()); err != nil {
		return nil, err
	}
	w := s.disk.node.world
	ours, known := old.chainAt(old.end() - 1)
	known = known && old.start < old.end() // a copy has nothing of what is below the log start
	if copied, _ := future.chainAt(old.end() - 1); future.end() != old.end() || known && copied != ours {
		w.broken("broker %d exchanges its log, which ends at %d, for a copy that is none and ends at %d", old.node.id, old.end(), future.end())
	}
	moved := *future
	moved.epochs, moved.leading = slices.Clone(old.epochs), old.leading
	moved.start, moved.hw, moved.flushed = old.start, old.hw, old.end()
	moved.checkpoint = min(old.checkpoint, old.hw)
	old.closed, future.closed = true, true
	s.disk.logs[tp] = &moved
	delete(s.disk.futures, tp)
	w.moves++
	return &moved, nil
}

// ReadBytes reads as Read does, and brings the bytes.
func (l *simLog) ReadBytes(offset int64, maxBytes int, buf []byte) ([]byte, error) {
	if err := l.usable(); err != nil {
		return nil, err
	}
	if offset < l.start || offset > l.end() {
		return nil, fmt.Errorf("offset %d is outside [%d, %d]: %w", offset, l.start, l.end(), protocol.OffsetOutOfRange)
	}
	buf = buf[:0]
	for offset < l.end() && (len(buf) == 0 || len(buf)+batchSize <= maxBytes) {
		buf = l.encode(buf, offset)
		offset++
	}
	return buf, nil
}

// moveLog begins to move a broker's log to its other directory, or calls a move off.
func (w *world) moveLog(n *node) {
	l := n.disk.get(tp0)
	if !n.running || n.paused || l == nil {
		return
	}
	to := w.rng.IntN(2)
	if code := n.manager.AlterLogDir(tp0, dirs[to]); code != protocol.None {
		w.say("broker %d cannot move its log: %v", n.id, code)
	}
}

// moveLogs takes the steps of a life's moves.
func (n *node) moveLogs() {
	wait, idle := n.mover.Step(n.world.time())
	if !idle {
		n.touched()
	}
	n.world.plan(wait.Milliseconds()+n.world.between(0, 20), n, n.moveLogs)
}
