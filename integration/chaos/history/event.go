// Package history is what clients and observers of a cluster under faults saw, as a list of events, and the rules that such a
// list must keep. The rules are pure functions over the events, so that a history of a failed run can be judged again from its file,
// and a history written by hand shows that a rule notices what it is there for.
//
// The rules are those of Jepsen's Kafka checker (lost writes, inconsistent offsets, duplicates, aborted reads, skips, non-monotonic
// polls and sends) and, beyond what clients can see, of ZooKeeper's partition states and of the brokers' own log files.
package history

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"sync"
	"time"
)

// Kind says what an event is; it decides which fields of Event are set.
type Kind string

// The kinds of events.
const (
	Fault     Kind = "fault"     // Note says what was done to whom
	Send      Kind = "send"      // one record sent: Client, Partition, Seq, Value, Outcome, and Offset when acknowledged
	Poll      Kind = "poll"      // what one poll of a consumer returned for one partition: Records; Group says a group assigned it
	Final     Kind = "final"     // like Poll, of a consumer that read from the start when all was over; Outcome OK in its last one, at the partition's end
	End       Kind = "end"       // a leader's answer to ListOffsets(latest): Offset is the high watermark, Epoch the leader's
	Commit    Kind = "commit"    // a group's commit: Client is the group; Offset, Outcome
	Committed Kind = "committed" // a group's committed offset as fetched; -1 when the answer was that there is none
	State     Kind = "state"     // a partition's znodes: Leader, Epoch, ISR, Replicas, Version, ControllerEpoch
	View      Kind = "view"      // what one broker (Client) says about a partition when all was over: Leader, Epoch, ISR, Replicas
	Late      Kind = "late"      // a request of a former controller (ControllerEpoch) to a broker (Client), when that knew a later one; Outcome OK: it was obeyed
	Replica   Kind = "replica"   // one broker's (Client) log of a partition when all was over: Batches; Offset is the high watermark
)

// Outcome is how an operation ended, as its client knows.
type Outcome string

// The outcomes.
const (
	OK      Outcome = "ok"      // acknowledged
	Failed  Outcome = "failed"  // refused: it must never take effect
	Unknown Outcome = "unknown" // timed out or cut off: it may have taken effect, or may yet
)

// NoOffset is the offset of an acknowledgement that told none: the answer to a retry of what the broker had already.
const NoOffset = -1

// An Event is one line of a history. Times are nanoseconds since the history's start.
type Event struct {
	Kind            Kind     `json:"kind"`
	From            int64    `json:"from,omitempty"` // when the operation was begun
	At              int64    `json:"at"`             // when its outcome was known
	Client          string   `json:"client,omitempty"`
	Topic           string   `json:"topic,omitempty"`
	Partition       int32    `json:"partition"`
	Seq             int64    `json:"seq,omitempty"` // the client's count of its sends
	Value           string   `json:"value,omitempty"`
	Offset          int64    `json:"offset"`
	Outcome         Outcome  `json:"outcome,omitempty"`
	Idempotent      bool     `json:"idempotent,omitempty"`
	Group           bool     `json:"group,omitempty"`
	Records         []Record `json:"records,omitempty"`
	Epoch           int32    `json:"epoch,omitempty"`
	Leader          int32    `json:"leader,omitempty"` // -1: none
	ISR             []int32  `json:"isr,omitempty"`
	Replicas        []int32  `json:"replicas,omitempty"`
	Version         int32    `json:"version,omitempty"` // zkVersion of the state znode
	ControllerEpoch int32    `json:"controllerEpoch,omitempty"`
	Batches         []Batch  `json:"batches,omitempty"`
	Note            string   `json:"note,omitempty"`
}

// A Record is one polled record.
type Record struct {
	Offset int64  `json:"o"`
	Value  string `json:"v"`
}

// A Batch is one record batch in a log file.
type Batch struct {
	Base  int64  `json:"b"`
	Last  int64  `json:"l"`
	Epoch int32  `json:"e"`
	Sum   uint32 `json:"s"` // over all its bytes
	// Producer, its epoch and the first sequence number, which counts on by record; Producer is -1 without idempotence.
	Producer      int64  `json:"p"`
	ProducerEpoch int16  `json:"pe"`
	Sequence      int32  `json:"q"`
	Bad           string `json:"x,omitempty"` // what is wrong with it in itself, for example its CRC
}

// A Recorder collects events from many goroutines and writes each as a line of JSON.
type Recorder struct {
	start time.Time

	mu     sync.Mutex
	events []Event
	w      *bufio.Writer
	file   io.WriteCloser
	err    error
}

// NewRecorder starts a history that is also written to w.
func NewRecorder(w io.WriteCloser) *Recorder {
	return &Recorder{start: time.Now(), w: bufio.NewWriter(w), file: w}
}

// Now is the time since the history's start, in nanoseconds.
func (r *Recorder) Now() int64 { return int64(time.Since(r.start)) }

// Add records an event that ends now.
func (r *Recorder) Add(e Event) {
	r.mu.Lock()
	defer r.mu.Unlock()
	e.At = r.Now()
	r.events = append(r.events, e)
	line, err := json.Marshal(e)
	if err == nil {
		_, err = r.w.Write(append(line, '\n'))
	}
	if r.err == nil {
		r.err = err
	}
}

// Faultf records what was done to the cluster.
func (r *Recorder) Faultf(format string, args ...any) {
	r.Add(Event{Kind: Fault, Note: fmt.Sprintf(format, args...)})
}

// Close ends the file and returns everything recorded.
func (r *Recorder) Close() ([]Event, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, err := range []error{r.w.Flush(), r.file.Close()} {
		if r.err == nil {
			r.err = err
		}
	}
	return r.events, r.err
}

// Read reads a history back from its file.
func Read(r io.Reader) ([]Event, error) {
	var events []Event
	decoder := json.NewDecoder(r)
	for {
		var e Event
		switch err := decoder.Decode(&e); err {
		case nil:
			events = append(events, e)
		case io.EOF:
			return events, nil
		default:
			return nil, fmt.Errorf("event %d: %w", len(events), err)
		}
	}
}
