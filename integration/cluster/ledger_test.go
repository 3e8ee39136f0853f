package cluster

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// A series is what one writer sends to one partition: the numbers 0, 1, 2 and so on, each when the one before it is acknowledged or on its way, so that the
// log's order is the numbers' order.
type series struct {
	writer    string
	partition int32
}

func (s series) String() string { return fmt.Sprintf("partition %d by %s", s.partition, s.writer) }

// A record is one of a series.
type record struct {
	series
	number int
}

// value is the record's value in the log.
func (r record) value() []byte { return fmt.Appendf(nil, "%s/%d/%d", r.writer, r.partition, r.number) }

func parseRecord(value []byte) (record, error) {
	parts := strings.Split(string(value), "/")
	if len(parts) != 3 {
		return record{}, fmt.Errorf("%q was sent by nobody", value)
	}
	partition, err := strconv.ParseInt(parts[1], 10, 32)
	if err != nil {
		return record{}, err
	}
	number, err := strconv.Atoi(parts[2])
	return record{series{parts[0], int32(partition)}, number}, err
}

// A ledger is what the cluster has promised, and what groups have read.
type ledger struct {
	mu     sync.Mutex
	acked  map[record]int64           // → offset; negative when the client was only told that the broker has it already
	counts map[series]int             // how many of each are acknowledged
	last   map[series]time.Time       // when the latest of each was
	read   map[string]map[record]bool // group → what its members have seen
	errs   []error                    // of clients: with all the retries in the world there are none

	silence struct { // the longest time between two acknowledgements of one series
		series
		length time.Duration
		until  time.Time
	}
}

func newLedger() *ledger {
	return &ledger{acked: map[record]int64{}, counts: map[series]int{}, last: map[series]time.Time{}, read: map[string]map[record]bool{}}
}

// begin opens the account of a series.
func (l *ledger) begin(s series) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.counts[s], l.last[s] = 0, time.Now()
}

func (l *ledger) acknowledged(r record, offset int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := time.Now()
	l.acked[r] = offset
	l.counts[r.series]++
	if length := now.Sub(l.last[r.series]); length > l.silence.length {
		l.silence.series, l.silence.length, l.silence.until = r.series, length, now
	}
	l.last[r.series] = now
}

// seen notes what a member of a group read.
func (l *ledger) seen(group string, value []byte) {
	r, err := parseRecord(value)
	if err != nil {
		l.fail(fmt.Errorf("group %s: %w", group, err))
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.read[group] == nil {
		l.read[group] = map[record]bool{}
	}
	l.read[group][r] = true
}

func (l *ledger) fail(err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.errs = append(l.errs, err)
}

// progress copies how many records of each series are acknowledged.
func (l *ledger) progress() map[series]int {
	l.mu.Lock()
	defer l.mu.Unlock()
	counts := make(map[series]int, len(l.counts))
	for s, n := range l.counts {
		counts[s] = n
	}
	return counts
}

// promises copies what is acknowledged.
func (l *ledger) promises() map[record]int64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	promises := make(map[record]int64, len(l.acked))
	for r, offset := range l.acked {
		promises[r] = offset
	}
	return promises
}

// unseen is how many of these records a group has not read.
func (l *ledger) unseen(group string, promises map[record]int64) (missing int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for r := range promises {
		if !l.read[group][r] {
			missing++
		}
	}
	return missing
}

// check wants every acknowledged record in the log, at the offset that it was acknowledged with, and of every series each number once, in order. Nobody may
// write to the ledger any more.
func (l *ledger) check(t *testing.T, log map[int32][]*kgo.Record) {
	t.Helper()
	for _, err := range l.errs {
		t.Error(err)
	}
	at, again := inOrder(t, log)
	lost, somewhere := map[series][]string{}, 0
	for r, offset := range l.acked {
		switch got := at[r]; {
		case len(got) == 0:
			lost[r.series] = append(lost[r.series], fmt.Sprintf("%d is missing from %d", r.number, offset))
		case offset < 0:
			somewhere++
		case !slices.Contains(got, offset):
			lost[r.series] = append(lost[r.series], fmt.Sprintf("%d is at %v, not %d", r.number, got, offset))
		}
	}
	for s, what := range lost {
		t.Errorf("%v: of %d acknowledged records %d are not where they were acknowledged, number %s", s, l.counts[s], len(what), strings.Join(what[:min(9, len(what))], ", "))
	}
	if len(l.acked) == 0 {
		t.Error("nothing was acknowledged")
	}
	t.Logf("%d records acknowledged, %d of them without an offset, %d sent again by their client; the longest time without an ack was %v, %v, until %s",
		len(l.acked), somewhere, again, l.silence.length.Round(time.Millisecond), l.silence.series, l.silence.until.Format(time.TimeOnly))
}

// inOrder wants of every series each number once, in order, and returns where each stands.
//
// One thing is the clients' own: librdkafka may raise its producer epoch at a change of leaders and send again what is not acknowledged, although its first sending
// took effect (confluentinc/librdkafka#4953). No broker can know. So a series may go back where its producer epoch goes up; again counts what it went back.
func inOrder(t *testing.T, log map[int32][]*kgo.Record) (at map[record][]int64, again int) {
	t.Helper()
	type producer struct {
		id    int64
		epoch int16
	}
	at = map[record][]int64{}
	next, last := map[series]int{}, map[series]producer{}
	for p, records := range log {
		for _, got := range records {
			r, err := parseRecord(got.Value)
			if err != nil || r.partition != p {
				t.Errorf("offset %d of partition %d holds %q: %v", got.Offset, p, got.Value, err)
				continue
			}
			by := producer{got.ProducerID, got.ProducerEpoch}
			switch was := last[r.series]; {
			case r.number == next[r.series]:
			case r.number < next[r.series] && by.id == was.id && by.epoch > was.epoch:
				again += next[r.series] - r.number
			default:
				t.Errorf("%v: offset %d holds number %d (of producer %v), not %d (after producer %v)", r.series, got.Offset, r.number, by, next[r.series], was)
			}
			next[r.series], last[r.series] = r.number+1, by
			at[r] = append(at[r], got.Offset)
		}
	}
	return at, again
}
