package storage

import (
	"errors"
	"math"
	"path/filepath"
	"testing"
	"time"

	"gregor/protocol"
)

func appendCode(l *Log, b []byte) (AppendResult, protocol.ErrorCode) {
	var out AppendResult
	err := l.AppendAsLeader(b, 0, FromClient, &out)
	var code protocol.ErrorCode
	if err != nil && !errors.As(err, &code) {
		return out, protocol.UnknownServerError
	}
	return out, code
}

// The rules of an idempotent producer, as a conversation. Every line is one batch: where it starts, how many
// records, and the answer.
func TestIdempotentProducer(t *testing.T) {
	const none, order, epochLow = protocol.None, protocol.OutOfOrderSequenceNumber, protocol.InvalidProducerEpoch
	type step struct {
		epoch int16
		seq   int32
		n     int
		code  protocol.ErrorCode
		base  int64 // offset of the answer when code is none
		dup   bool
	}
	for name, steps := range map[string][]step{
		"in order":                         {{0, 0, 2, none, 0, false}, {0, 2, 1, none, 2, false}, {0, 3, 1, none, 3, false}},
		"any sequence begins":              {{0, 17, 1, none, 0, false}, {0, 18, 1, none, 1, false}},
		"a gap":                            {{0, 0, 1, none, 0, false}, {0, 2, 1, order, 0, false}, {0, 1, 1, none, 1, false}},
		"a resend gets its old offset":     {{0, 0, 2, none, 0, false}, {0, 2, 1, none, 2, false}, {0, 0, 2, none, 0, true}, {0, 2, 1, none, 2, true}, {0, 3, 1, none, 3, false}},
		"five batches back is a resend":    {{0, 0, 1, none, 0, false}, {0, 1, 1, none, 1, false}, {0, 2, 1, none, 2, false}, {0, 3, 1, none, 3, false}, {0, 4, 1, none, 4, false}, {0, 0, 1, none, 0, true}},
		"six batches back is out of order": {{0, 0, 1, none, 0, false}, {0, 1, 1, none, 1, false}, {0, 2, 1, none, 2, false}, {0, 3, 1, none, 3, false}, {0, 4, 1, none, 4, false}, {0, 5, 1, none, 5, false}, {0, 0, 1, order, 0, false}},
		"half a batch is no resend":        {{0, 0, 2, none, 0, false}, {0, 0, 1, order, 0, false}},
		"a new epoch begins at 0":          {{0, 0, 1, none, 0, false}, {1, 5, 1, order, 0, false}, {1, 0, 1, none, 1, false}, {1, 1, 1, none, 2, false}},
		"an old epoch is fenced":           {{3, 0, 1, none, 0, false}, {2, 1, 1, epochLow, 0, false}},
		"a new epoch forgets the window":   {{0, 0, 1, none, 0, false}, {1, 0, 1, none, 1, false}, {1, 0, 1, none, 1, true}},
		"sequences wrap":                   {{0, math.MaxInt32 - 1, 2, none, 0, false}, {0, 0, 1, none, 2, false}, {0, math.MaxInt32 - 1, 2, none, 0, true}},
		"sequences wrap inside a batch":    {{0, math.MaxInt32, 3, none, 0, false}, {0, 2, 1, none, 3, false}, {0, math.MaxInt32, 3, none, 0, true}, {0, 3, 1, none, 4, false}},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, 1, nil)
			for _, reopen := range []func(...func(string)) *Log{nil, r.restart, r.crash} {
				// The same conversation by another producer behind a restart, on the state of the first.
				l, pid := r.log(), r.log().LogEndOffset()+1
				base := l.LogEndOffset()
				for i, s := range steps {
					if reopen != nil && i == len(steps)-1 && !s.dup {
						l = reopen() // the last answer must not depend on memory
					}
					out, code := appendCode(l, idempotent(pid, s.epoch, s.seq, s.n))
					if code != s.code {
						t.Fatalf("step %d: %v, want %v", i, code, s.code)
					}
					if code == none && (out.BaseOffset != base+s.base || out.LastOffset != base+s.base+int64(s.n)-1 || out.Duplicate != s.dup) {
						t.Fatalf("step %d: %+v", i, out)
					}
				}
			}
		})
	}
}

// A refused append changes nothing: neither the log nor what it knows of the producer.
func TestRefusedAppendChangesNothing(t *testing.T) {
	r := newRig(t, 1, nil)
	l := r.log()
	mustAppend(t, l, idempotent(1, 0, 0, 1))
	before := l.ActiveProducers()
	if _, code := appendCode(l, idempotent(1, 0, 9, 1)); code != protocol.OutOfOrderSequenceNumber {
		t.Fatal(code)
	}
	if _, code := appendCode(l, idempotent(1, 4, 9, 1)); code != protocol.OutOfOrderSequenceNumber {
		t.Fatal(code)
	}
	if after := l.ActiveProducers(); len(after) != 1 || after[0] != before[0] || l.LogEndOffset() != 1 {
		t.Errorf("%+v, was %+v; end %d", after, before, l.LogEndOffset())
	}
}

// The state survives a lost snapshot, since it is in the batches; and the removal of the log's head, since it is in
// the snapshot.
func TestProducerStateSurvives(t *testing.T) {
	r := newRig(t, 1, func(c *LogConfig) { c.SegmentBytes = 400 })
	l := r.log()
	mustAppend(t, l, idempotent(1, 0, 0, 1))
	for i := range int32(20) {
		mustAppend(t, l, idempotent(2, 0, i, 1))
	}
	l.SetHighWatermark(21)
	for _, c := range []struct {
		name   string
		reopen func() *Log
	}{
		{"clean", func() *Log { return r.restart() }},
		{"crash", func() *Log { return r.crash() }},
		{"no snapshots, clean", func() *Log { return r.restart(remove("t-0/*.snapshot")) }},
		{"no snapshots, crash", func() *Log { return r.crash(remove("t-0/*.snapshot")) }},
		{"garbled snapshots, clean", func() *Log { return r.restart(garble("t-0/*.snapshot", "\x00\x01\x00\x00\x00\x00\x00\x00\x00\x01")) }},
		{"newest snapshot torn", func() *Log {
			return r.restart(garble("t-0/"+offsetFileName(21, snapshotSuffix), "\x00"))
		}},
		{"head removed, clean", func() *Log {
			if err := r.m.Get(tp0).IncrementLogStartOffset(18); err != nil {
				t.Fatal(err)
			}
			return r.restart()
		}},
	} {
		l = c.reopen()
		if out, code := appendCode(l, idempotent(2, 0, 19, 1)); code != 0 || !out.Duplicate || out.BaseOffset != 20 {
			t.Fatalf("%s: %v %+v", c.name, code, out)
		}
		if _, code := appendCode(l, idempotent(1, 0, 5, 1)); code != protocol.OutOfOrderSequenceNumber {
			t.Fatalf("%s: producer 1 is forgotten: %v", c.name, code)
		}
	}
}

func TestProducerExpires(t *testing.T) {
	r := newRig(t, 1, nil)
	l := r.log()
	mustAppend(t, l, idempotent(1, 0, 0, 1))
	r.now = r.now.Add(25 * time.Hour)
	mustAppend(t, l, func() []byte { b := transactional(2, 0, 1); return b }())
	r.m.background.expireProducers()
	if p := l.ActiveProducers(); len(p) != 1 || p[0].ProducerID != 2 {
		t.Errorf("producers after a day: %+v; the one with an open transaction must stay", p)
	}
	if _, code := appendCode(l, idempotent(1, 0, 7, 1)); code != 0 {
		t.Errorf("a producer that was forgotten begins with any sequence: %v", code)
	}
}

// Transactions as Apache Kafka left them in a log: last stable offset, aborted transactions, producers.
func TestTransactionsInTheLog(t *testing.T) {
	r := newRig(t, 1, nil)
	l := r.log()
	follow(t, l, 0,
		transactional(1, 0, 2),      // 0-1
		transactional(2, 0, 1),      // 2
		marker(1, false),            // 3: aborts 0-1
		batch(1, 10, 1700000000000), // 4
		marker(2, true),             // 5: commits 2
		transactional(3, 0, 1),      // 6: stays open
		batch(1, 10, 1700000000000)) // 7
	check := func(l *Log, when string) {
		t.Helper()
		l.SetHighWatermark(l.LogEndOffset())
		if l.LastStableOffset() != 6 {
			t.Errorf("%s: last stable offset %d, want 6", when, l.LastStableOffset())
		}
		got := l.AbortedTxns(0, 8)
		if len(got) != 1 || got[0] != (AbortedTxn{1, 0}) {
			t.Errorf("%s: aborted %v", when, got)
		}
		if got := l.AbortedTxns(4, 8); len(got) != 0 {
			t.Errorf("%s: aborted behind offset 4: %v", when, got)
		}
		p := l.ActiveProducers()
		if len(p) != 3 || p[0].CoordinatorEpoch != 7 || p[0].TxnStartOffset != -1 || p[2].TxnStartOffset != 6 || p[1].LastSequence != 0 {
			t.Errorf("%s: producers %+v", when, p)
		}
	}
	if l.SetHighWatermark(3); l.LastStableOffset() != 0 {
		t.Errorf("the abort is not committed yet, but the last stable offset is %d", l.LastStableOffset())
	}
	if l.SetHighWatermark(5); l.LastStableOffset() != 2 {
		t.Errorf("the commit is not committed yet, but the last stable offset is %d", l.LastStableOffset())
	}
	check(l, "running")
	check(r.restart(), "clean")
	check(r.crash(), "crash")
	check(r.restart(remove("t-0/*.snapshot")), "no snapshots")
	check(r.crash(remove("t-0/*.txnindex")), "no transaction index")

	if _, code := appendCode(r.log(), idempotent(3, 0, 1, 1)); code != protocol.InvalidTxnState {
		t.Errorf("a plain batch inside a transaction: %v", code)
	}
	if err := r.log().TruncateTail(3); err != nil {
		t.Fatal(err)
	}
	if got := r.log().AbortedTxns(0, 100); len(got) != 0 {
		t.Errorf("aborted after the marker was cut: %v", got)
	}
	if lso := r.log().LastStableOffset(); lso != 0 {
		t.Errorf("last stable offset after the marker was cut: %d", lso)
	}
	if exists(filepath.Join(r.partition(), firstSegment+".txnindex")) {
		if got := r.restart().AbortedTxns(0, 100); len(got) != 0 {
			t.Errorf("aborted after a restart: %v", got)
		}
	}
}
