package replication

import (
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"gregor/protocol"
)

// FollowConfig is how this broker follows leaders.
type FollowConfig struct {
	Fetchers int // num.replica.fetchers: Fetchers per leader broker

	// What inter.broker.protocol.version lets a follower send. A Fetch of version 12 or later has the leader find out where the logs part (KIP-595);
	// before that a follower asks with OffsetForLeaderEpoch first (KIP-101, KIP-279).
	FetchVersion       int16
	ListOffsetsVersion int16
	EpochVersion       int16 // of OffsetForLeaderEpoch

	MaxWait          time.Duration // replica.fetch.wait.max.ms
	MinBytes         int32         // replica.fetch.min.bytes
	MaxBytes         int32         // replica.fetch.max.bytes, per partition
	ResponseMaxBytes int32         // replica.fetch.response.max.bytes
	Backoff          time.Duration // replica.fetch.backoff.ms

	// Throttle is told of the bytes that came of a partition, and says how long a replica that is not in sync has to wait before it fetches more (KIP-73);
	// nil: nobody waits.
	Throttle func(tp protocol.TopicPartition, bytes int, now time.Time) time.Duration
}

// Fetcher follows one leader broker for a share of the partitions that this broker follows there: it says what to ask the leader next, and takes the answers
// to the logs (kafka.server.AbstractFetcherThread). It knows neither clock nor network; who drives it calls Next, does what the Step says, and hands the answer
// to the Apply method of that kind, or the error to Failed.
type Fetcher struct {
	cfg     *FollowConfig
	me      int32
	epoch   func() int64 // broker epoch
	leader  int32
	id      int
	log     *slog.Logger // kafka.server.ReplicaFetcherThread
	changed chan struct{}

	mu struct {
		sync.Mutex
		entries  map[protocol.TopicPartition]*following
		list     []*following // the entries in the order they came, and some that have left
		touched  []touched    // whose place in the session has to be looked at
		delayed  []*following // retryAt is set
		unready  []*following // phase is not fetching
		nameless int          // entries whose topic has no id
		retryAt  time.Time    // nothing is sent before; zero: at any time
		retry    bool         // Retry was called since the last Next
		session  session
		serial   int64 // of the last request for epochs or offsets
	}
}

// touched names a partition that has changed, has come or has left.
type touched struct {
	tp protocol.TopicPartition
	id protocol.TopicID
}

// phase says what a followed partition needs next.
type phase int8

const (
	fetching     phase = iota
	truncating         // the leader's end of our last epoch, or no more than our high watermark when our log knows no epochs
	outOfRange         // the leader's log end
	belowLeader        // the leader's log start; its log end is known
	unfollowable       // nothing: it failed, or it is no longer this Fetcher's
)

// following is one partition that is followed.
type following struct {
	p           *Partition
	tp          protocol.TopicPartition
	id          protocol.TopicID
	leaderEpoch int32

	phase     phase
	offset    int64     // where to fetch; while fetching the log end
	lastEpoch int32     // of the record before offset, -1 unknown
	leaderEnd int64     // belowLeader
	retryAt   time.Time // zero: now
	failures  int       // in a row
	asked     int64     // serial of the request under way for epochs or offsets
	askedFor  int32     // the epoch asked for
}

func newFetcher(cfg *FollowConfig, me, leader int32, id int, epoch func() int64, log *slog.Logger) *Fetcher {
	f := &Fetcher{cfg: cfg, me: me, epoch: epoch, leader: leader, id: id, log: log, changed: make(chan struct{}, 1)}
	f.mu.entries = make(map[protocol.TopicPartition]*following)
	f.mu.session.clear()
	return f
}

// Leader is the broker that is followed.
func (f *Fetcher) Leader() int32 { return f.leader }

// ID tells the Fetchers of one leader apart: 0 to num.replica.fetchers - 1.
func (f *Fetcher) ID() int { return f.id }

// Changed holds a token after Next might say something else than to idle, although its time has not come.
func (f *Fetcher) Changed() <-chan struct{} { return f.changed }

func (f *Fetcher) wake() {
	select {
	case f.changed <- struct{}{}:
	default:
	}
}

func (f *Fetcher) prefix() string {
	return fmt.Sprintf("[ReplicaFetcher replicaId=%d, leaderId=%d, fetcherId=%d] ", f.me, f.leader, f.id)
}

func (f *Fetcher) truncatesOnFetch() bool { return f.cfg.FetchVersion >= 12 }

// add follows a partition from its log end on. A log that knows leader epochs is compared with the leader's before anything of it counts; one that knows
// none is cut to its high watermark.
func (f *Fetcher) add(p *Partition, leaderEpoch int32) {
	f.mu.Lock()
	defer f.mu.Unlock()
	e := &following{p: p, tp: p.tp, id: p.TopicID(), leaderEpoch: leaderEpoch, lastEpoch: -1}
	if latest := p.Log().LatestEpoch(); latest >= 0 && f.truncatesOnFetch() {
		e.offset, e.lastEpoch = p.Log().LogEndOffset(), latest
	} else {
		e.phase, e.offset = truncating, p.Log().HighWatermark()
		f.mu.unready = append(f.mu.unready, e)
	}
	f.mu.entries[e.tp] = e
	f.mu.list = append(f.mu.list, e)
	if e.id.IsZero() {
		f.mu.nameless++
	}
	f.touch(e)
	f.wake()
}

// remove stops following a partition. When it returns, no answer is being taken to its log any more.
func (f *Fetcher) remove(tp protocol.TopicPartition) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if e := f.mu.entries[tp]; e != nil {
		f.drop(e)
		f.wake()
	}
}

// idle reports whether nothing is followed.
func (f *Fetcher) idle() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return len(f.mu.entries) == 0
}

// drop takes an entry out of everything. The caller holds the lock, as in everything below.
func (f *Fetcher) drop(e *following) {
	delete(f.mu.entries, e.tp)
	if e.id.IsZero() {
		f.mu.nameless--
	}
	e.phase = unfollowable
	f.touch(e)
	if len(f.mu.list) > 16 && len(f.mu.list) > 2*len(f.mu.entries) {
		f.mu.list = slices.DeleteFunc(f.mu.list, func(e *following) bool { return e.phase == unfollowable })
	}
}

// fail stops following a partition whose log cannot take what the leader sends, while the others go on (KIP-461). The next leader epoch begins anew.
func (f *Fetcher) fail(e *following, why string) {
	f.drop(e)
	f.log.Warn(f.prefix() + fmt.Sprintf("Partition %v marked as failed: %s", e.tp, why))
}

func (f *Fetcher) touch(e *following) { f.mu.touched = append(f.mu.touched, touched{e.tp, e.id}) }

// enter moves an entry on to another phase.
func (f *Fetcher) enter(e *following, next phase) {
	if next != fetching && e.phase == fetching {
		f.mu.unready = append(f.mu.unready, e)
	}
	e.phase = next
	f.touch(e)
}

// delay has a partition wait after an error. The wait doubles with each error in a row up to replica.fetch.backoff.ms, where Apache Kafka takes all of it at
// once: most errors come from a leader that hears of its leadership a moment after its follower.
func (f *Fetcher) delay(e *following, now time.Time) {
	const steps = 4
	wait := f.cfg.Backoff >> max(steps-e.failures, 0)
	e.failures++
	e.retryAt = now.Add(wait)
	f.mu.delayed = append(f.mu.delayed, e)
	f.touch(e)
}

// StepKind says what to do next.
type StepKind int8

const (
	Idle       StepKind = iota // nothing until Until, or Changed
	AskEpochs                  // send Request, hand the answer to ApplyEpochs
	AskOffsets                 // send Request, hand the answer to ApplyOffsets
	Fetch                      // send Request, hand the answer to ApplyFetch
)

// Step is what a Fetcher wants done next.
type Step struct {
	Kind    StepKind
	Until   time.Time    // zero: only Changed ends it
	Request kmsg.Request // in the version to send it; valid until the next call of Next
}

// Next says what to do now. It is called again when that is done.
func (f *Fetcher) Next(now time.Time) Step {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.mu.retry = false
	until := f.endDelays(now)
	if now.Before(f.mu.retryAt) {
		return Step{Kind: Idle, Until: f.mu.retryAt}
	}
	f.mu.unready = slices.DeleteFunc(f.mu.unready, func(e *following) bool { return e.phase == fetching || e.phase == unfollowable })
	if len(f.mu.unready) > 0 {
		if req := f.askEpochs(now); req != nil {
			return Step{Kind: AskEpochs, Request: req}
		}
		if req := f.askOffsets(); req != nil {
			return Step{Kind: AskOffsets, Request: req}
		}
		until = f.endDelays(now) // truncation to the high watermark may have failed
	}
	if req := f.buildFetch(); req != nil {
		return Step{Kind: Fetch, Request: req}
	}
	return Step{Kind: Idle, Until: until}
}

// endDelays lets partitions go on whose time has come, and returns when the next one's will.
func (f *Fetcher) endDelays(now time.Time) (next time.Time) {
	f.mu.delayed = slices.DeleteFunc(f.mu.delayed, func(e *following) bool {
		switch {
		case e.phase == unfollowable:
			return true
		case !now.Before(e.retryAt):
			e.retryAt = time.Time{}
			f.touch(e)
			return true
		}
		if next.IsZero() || e.retryAt.Before(next) {
			next = e.retryAt
		}
		return false
	})
	return next
}

// Failed tells that a request could not be sent or has no answer that could be read: everything waits for replica.fetch.backoff.ms, and the fetch session
// begins anew.
func (f *Fetcher) Failed(now time.Time) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.failed(now)
}

func (f *Fetcher) failed(now time.Time) {
	f.mu.session.restart()
	f.mu.serial++
	if !f.mu.retry {
		f.mu.retryAt = now.Add(f.cfg.Backoff)
	}
}

// Retry ends the wait that Failed began, or the one that a request under way would begin with: the leader may be reached now.
func (f *Fetcher) Retry() {
	f.mu.Lock()
	f.mu.retryAt, f.mu.retry = time.Time{}, true
	f.mu.Unlock()
	f.wake()
}
