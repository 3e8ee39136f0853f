package replication

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"gregor/protocol"
	"gregor/storage"
)

// MoveConfig is how logs move between the log directories of this broker (kafka.server.ReplicaAlterLogDirsManager).
type MoveConfig struct {
	Threads  int // num.replica.alter.log.dirs.threads: logs that move at a time; 0: nothing moves by itself, who has the Manager calls Move
	MaxBytes int // replica.fetch.max.bytes: what is copied at once

	// Throttle counts bytes that were copied, and says how long to wait before more are (replica.alter.log.dirs.io.max.bytes.per.second); nil: nobody waits.
	Throttle func(bytes int, now time.Time) time.Duration
}

const (
	maxMoveWait = time.Second            // until a move asks the quota again, which may have been changed meanwhile
	moveBackoff = 100 * time.Millisecond // when there is nothing to copy, and yet not all there
)

// moves are the partitions whose logs move. They are taken one after the other, by as many goroutines as MoveConfig allows, which live as long as there is something to do.
type moves struct {
	ctx  context.Context // ends with close
	stop context.CancelFunc
	wg   sync.WaitGroup

	mu struct {
		sync.Mutex
		waiting []*Partition
		known   map[*Partition]struct{} // those that wait, and those that a Mover has
		movers  int
	}
}

func (ms *moves) init() {
	ms.ctx, ms.stop = context.WithCancel(context.Background())
	ms.mu.known = make(map[*Partition]struct{})
}

// close ends the moves under way, which go on in the next life of the broker.
func (ms *moves) close() {
	ms.mu.Lock()
	ms.stop()
	ms.mu.Unlock()
	ms.wg.Wait()
}

// AlterLogDir begins to move a partition's log to another directory of this broker, or ends a move when that is the directory that the log lies in
// (ReplicaManager.alterReplicaLogDirs). The directory of a partition that is not here yet is remembered until its log is made. Codes: INVALID_TOPIC_EXCEPTION when
// the name is too long for a future log; LOG_DIR_NOT_FOUND; KAFKA_STORAGE_ERROR; UNKNOWN_TOPIC_OR_PARTITION when there is no such partition here.
func (m *Manager) AlterLogDir(tp protocol.TopicPartition, dir string) protocol.ErrorCode {
	m.change.Lock()
	defer m.change.Unlock()
	code, err := m.alterLogDir(tp, dir)
	if err != nil {
		m.log.Warn(fmt.Sprintf("Unable to alter log dirs for %v: %v", tp, err))
	}
	return code
}

func (m *Manager) alterLogDir(tp protocol.TopicPartition, dir string) (protocol.ErrorCode, error) {
	if !storage.CanHaveFuture(tp) {
		return protocol.InvalidTopicException, errors.New("the topic name is too long")
	}
	if err := m.cfg.Logs.CheckDir(dir); err != nil {
		return storageCode(err), err
	}
	p, code := m.Partition(tp)
	if code == protocol.UnknownTopicOrPartition {
		m.cfg.Logs.Prefer(tp, dir)
	}
	if code != protocol.None {
		return code, code
	}
	current, future := p.dirs()
	if future != "" && future != dir {
		p.detachFuture()
		if err := m.cfg.Logs.DeleteFuture(tp); err != nil {
			return storageCode(err), err
		}
	}
	if current == dir {
		m.log.Info(fmt.Sprintf("Current log directory %s of partition %v is same as requested log dir. Skipping future replica creation.", dir, tp))
		return protocol.None, nil
	}
	if future != dir {
		created, err := m.cfg.Logs.CreateFuture(tp, dir)
		if err == nil {
			err = p.attachFuture(created)
		}
		if err != nil {
			return storageCode(err), err
		}
	}
	m.move(p)
	return protocol.None, nil
}

// storageCode is the code of an error of storage.
func storageCode(err error) protocol.ErrorCode {
	var code protocol.ErrorCode
	if errors.As(err, &code) {
		return code
	}
	return protocol.KafkaStorageError
}

// resumeMove goes on with a move that an earlier life of the broker, or of the partition, began.
func (m *Manager) resumeMove(p *Partition) {
	future := m.cfg.Logs.Future(p.tp)
	if future == nil {
		return
	}
	var err error
	if id, known := future.TopicID(), p.TopicID(); id != known && !id.IsZero() && !known.IsZero() {
		err = fmt.Errorf("it is of a topic with id %v, not %v", id, known)
	} else {
		err = p.attachFuture(future)
	}
	if err != nil {
		m.log.Warn(fmt.Sprintf("The future log of partition %v in %s is given up: %v", p.tp, future.Dir(), err))
		if err := m.cfg.Logs.DeleteFuture(p.tp); err != nil {
			m.log.Error(fmt.Sprintf("Cannot delete the future log of partition %v: %v", p.tp, err))
		}
		return
	}
	m.move(p)
}

// move has the log of a partition that has a future log move.
func (m *Manager) move(p *Partition) {
	ms := &m.moves
	ms.mu.Lock()
	defer ms.mu.Unlock()
	if _, known := ms.mu.known[p]; known {
		return
	}
	ms.mu.known[p] = struct{}{}
	current, future := p.dirs()
	m.moveLog.Info(fmt.Sprintf("[ReplicaAlterLogDirsManager on broker %d] Moving partition %v from %s to %s", m.cfg.BrokerID, p.tp, current, future))
	ms.mu.waiting = append(ms.mu.waiting, p)
	if ms.mu.movers < m.cfg.Move.Threads && ms.ctx.Err() == nil {
		ms.mu.movers++
		ms.wg.Go(m.runMover)
	}
}

// nextMove takes a partition whose log is to move; nil when there is none.
func (ms *moves) nextMove() *Partition {
	ms.mu.Lock()
	defer ms.mu.Unlock()
	if len(ms.mu.waiting) == 0 {
		return nil
	}
	p := ms.mu.waiting[0]
	ms.mu.waiting = slices.Delete(ms.mu.waiting, 0, 1)
	return p
}

// ended lets go of a partition, unless another move of its log has begun meanwhile.
func (ms *moves) ended(p *Partition, failed bool) bool {
	ms.mu.Lock()
	defer ms.mu.Unlock()
	if !failed && p.moving() {
		return false
	}
	delete(ms.mu.known, p)
	return true
}

// retire ends a mover's life, unless there is something to do after all.
func (ms *moves) retire() bool {
	ms.mu.Lock()
	defer ms.mu.Unlock()
	if len(ms.mu.waiting) > 0 && ms.ctx.Err() == nil {
		return false
	}
	ms.mu.movers--
	return true
}

// runMover moves logs until there are none, or until close.
func (m *Manager) runMover() {
	ms := &m.moves
	mover := m.NewMover()
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		for ms.ctx.Err() == nil {
			wait, idle := mover.Step(m.cfg.Clock())
			if idle {
				break
			}
			if wait == 0 {
				continue
			}
			timer.Reset(wait)
			select {
			case <-timer.C:
			case <-ms.ctx.Done():
			}
		}
		if ms.retire() {
			return
		}
	}
}

// Mover moves one log after the other, a piece at a time (kafka.server.ReplicaAlterLogDirsThread). It knows neither clock nor goroutine.
type Mover struct {
	m       *Manager
	p       *Partition // nil: none
	flushed bool       // the copy was made durable when it first had all
	near    bool       // the copy has all that there was a moment ago
	buffer  []byte
}

// NewMover returns a mover that takes from the partitions that wait for one.
func (m *Manager) NewMover() *Mover { return &Mover{m: m} }

// Step does the next piece of work. It is to be called again after wait, or, when idle, once there is another log to move.
func (mv *Mover) Step(now time.Time) (wait time.Duration, idle bool) {
	if mv.p == nil {
		if mv.p = mv.m.moves.nextMove(); mv.p == nil {
			mv.buffer = nil
			return 0, true
		}
		mv.flushed, mv.near, mv.buffer = false, false, make([]byte, 0, max(mv.m.cfg.Move.MaxBytes, 1))
	}
	if wait := mv.throttle(0, now); wait > 0 {
		return wait, false
	}
	flushed, near := mv.flushed, mv.near
	bytes, done, err := mv.copy()
	failed := err != nil && !errors.Is(err, errNotMoving)
	if failed {
		mv.m.moveLog.Error(fmt.Sprintf("[ReplicaAlterLogDirsManager on broker %d] Partition %v marked as failed: %v", mv.m.cfg.BrokerID, mv.p.tp, err))
	}
	wait = mv.throttle(bytes, now)
	switch {
	case err == nil && !done:
		if bytes == 0 && mv.flushed == flushed && mv.near == near {
			wait = max(wait, moveBackoff)
		}
	case mv.m.moves.ended(mv.p, failed):
		mv.p = nil
	default:
		mv.flushed, mv.near = false, false
	}
	return wait, false
}

// copy copies a piece. When the copy first has all, it is made durable while appends go on; when it has all again, the rest is copied and the logs change places while
// they wait.
func (mv *Mover) copy() (bytes int, done bool, err error) {
	if mv.near {
		mv.near = false
		return mv.p.replaceWithFuture(&mv.buffer)
	}
	bytes, all, err := mv.p.copyFuture(&mv.buffer)
	switch {
	case err != nil || !all:
	case mv.flushed:
		mv.near = true
	default:
		mv.flushed = true
		if future := mv.p.Future(); future != nil {
			if err = future.Flush(); mv.p.Future() != future {
				err = errNotMoving
			}
		}
	}
	return bytes, false, err
}

func (mv *Mover) throttle(bytes int, now time.Time) time.Duration {
	if mv.m.cfg.Move.Throttle == nil {
		return 0
	}
	return min(mv.m.cfg.Move.Throttle(bytes, now), maxMoveWait)
}
