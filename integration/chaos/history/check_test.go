package history

import (
	"bytes"
	"io"
	"reflect"
	"slices"
	"strings"
	"testing"
)

// sound is a history in which nothing is wrong: every case below breaks one rule in a copy of it.
func sound() []Event {
	batches := []Batch{{Base: 0, Last: 1, Epoch: 0, Sum: 7, Producer: 5}, {Base: 2, Last: 2, Epoch: 1, Sum: 8, Producer: 5, Sequence: 2}}
	send := func(from, at int64, seq int64, value string, offset int64) Event {
		return Event{Kind: Send, From: from, At: at, Client: "p", Topic: "t", Seq: seq, Value: value, Offset: offset, Outcome: OK, Idempotent: true}
	}
	read := func(kind Kind, at int64, client string, records ...Record) Event {
		return Event{Kind: kind, At: at, Client: client, Topic: "t", Records: records}
	}
	state := func(at int64, leader, epoch, version int32, isr ...int32) Event {
		return Event{Kind: State, At: at, Topic: "t", Leader: leader, Epoch: epoch, Version: version, ControllerEpoch: 1, ISR: isr, Replicas: []int32{1, 2, 3}}
	}
	return []Event{
		{Kind: State, At: 1, ControllerEpoch: 1},
		state(2, 1, 0, 0, 1, 2, 3),
		send(10, 20, 0, "a", 0), send(11, 21, 1, "b", 1),
		{Kind: End, From: 22, At: 24, Topic: "t", Offset: 2, Epoch: 0},
		read(Poll, 25, "r", Record{0, "a"}, Record{1, "b"}),
		{Kind: Poll, At: 26, Client: "m", Topic: "t", Group: true, Records: []Record{{0, "a"}}},
		{Kind: Commit, From: 27, At: 28, Client: "g", Topic: "t", Offset: 1, Outcome: OK},
		{Kind: Committed, From: 29, At: 30, Client: "g", Topic: "t", Offset: 1},
		state(35, 2, 1, 1, 2, 3),
		send(40, 50, 2, "c", 2),
		{Kind: Send, From: 41, At: 51, Client: "p", Topic: "t", Seq: 3, Value: "refused", Outcome: Failed},
		{Kind: End, From: 52, At: 54, Topic: "t", Offset: 3, Epoch: 1},
		{Kind: Poll, At: 55, Client: "m2", Topic: "t", Group: true, Records: []Record{{0, "a"}, {1, "b"}, {2, "c"}}},
		{Kind: Commit, From: 56, At: 57, Client: "g", Topic: "t", Offset: 2, Outcome: Unknown},
		{Kind: Commit, From: 58, At: 59, Client: "g", Topic: "t", Offset: 3, Outcome: OK},
		state(60, 2, 1, 2, 1, 2, 3),
		{Kind: Final, At: 70, Client: "final", Topic: "t", Outcome: OK, Records: []Record{{0, "a"}, {1, "b"}, {2, "c"}}},
		{Kind: Replica, At: 71, Client: "1", Topic: "t", Offset: 3, Batches: batches},
		{Kind: Replica, At: 71, Client: "2", Topic: "t", Offset: 3, Batches: batches},
		{Kind: View, At: 72, Client: "1", Topic: "t", Leader: 2, Epoch: 1, ISR: []int32{3, 2, 1}, Replicas: []int32{1, 2, 3}},
	}
}

func TestSoundHistory(t *testing.T) {
	if anomalies := Check(sound(), Rules{}); len(anomalies) > 0 {
		t.Fatal(anomalies)
	}
}

// change finds the nth event of a kind (from 0) in a history and has f change it.
func change(kind Kind, nth int, f func(*Event)) func([]Event) []Event {
	return func(events []Event) []Event {
		for i := range events {
			if events[i].Kind != kind {
				continue
			}
			if nth == 0 {
				f(&events[i])
				return events
			}
			nth--
		}
		panic("no such event")
	}
}

// again has the record "c" stand at offset 3 as well, in that batch.
func again(events []Event, batch Batch) []Event {
	for i := range events {
		switch events[i].Kind {
		case Final:
			events[i].Records = append(events[i].Records, Record{3, "c"})
		case Replica:
			events[i].Batches = append(slices.Clone(events[i].Batches), batch)
		}
	}
	return events
}

// more adds events.
func more(events ...Event) func([]Event) []Event {
	return func(history []Event) []Event { return append(history, events...) }
}

func TestEveryRuleNotices(t *testing.T) {
	send := func(seq int64, value string, offset int64) Event {
		return Event{Kind: Send, From: 1, At: 80, Client: "p2", Topic: "t", Seq: seq, Value: value, Offset: offset, Outcome: OK, Idempotent: true}
	}
	state := func(version int32) Event {
		return Event{Kind: State, At: 80, Topic: "t", Leader: 2, Epoch: 1, Version: version, ControllerEpoch: 1, ISR: []int32{1, 2, 3}, Replicas: []int32{1, 2, 3}}
	}
	with := func(e Event, f func(*Event)) Event { f(&e); return e }
	cases := []struct {
		name   string
		want   string // invariant
		text   string // part of what it says
		change func([]Event) []Event
	}{
		{"an acknowledged record is nowhere", "I1", `"lost"`, more(send(0, "lost", 3))},
		{"the log has lost its end", "I1", `"c", acknowledged at offset 2`, change(Final, 0, func(e *Event) { e.Records = e.Records[:2] })},
		{"all is lost", "I1", `"a", acknowledged at offset 0`, change(Final, 0, func(e *Event) { e.Records = nil })},
		{"another value at an acknowledged offset", "I2", "offset 1", change(Final, 0, func(e *Event) { e.Records[1].Value = "x" })},
		{"two readers, two values", "I2", "offset 0", change(Poll, 1, func(e *Event) { e.Records[0].Value = "x" })},
		{"a record twice", "I3", "[2 3]", change(Final, 0, func(e *Event) { e.Records = append(e.Records, Record{3, "c"}) })},
		{"a record twice, under another leader", "I3", "[2 3]", func(events []Event) []Event {
			return again(events, Batch{Base: 3, Last: 3, Epoch: 1, Producer: 5, Sequence: 3})
		}},
		{"a sequence number twice", "I3", "sequence 2 of producer 5", change(Replica, 1, func(e *Event) {
			e.Batches = append(slices.Clone(e.Batches), Batch{Base: 3, Last: 3, Epoch: 1, Producer: 5, Sequence: 2})
		})},
		{"a sequence number left out", "I3", "sequence 4 of producer 5", change(Replica, 1, func(e *Event) {
			e.Batches = append(slices.Clone(e.Batches), Batch{Base: 3, Last: 3, Epoch: 1, Producer: 5, Sequence: 4})
		})},
		{"a producer's epoch that begins in the middle", "I3", "sequence 3 of producer 5, epoch 1", change(Replica, 1, func(e *Event) {
			e.Batches = append(slices.Clone(e.Batches), Batch{Base: 3, Last: 3, Epoch: 1, Producer: 5, ProducerEpoch: 1, Sequence: 3})
		})},
		{"a refused record is read", "I4", `"refused"`, change(Final, 0, func(e *Event) { e.Records = append(e.Records, Record{3, "refused"}) })},
		{"a former controller", "I10", "broker 2 obeys the controller of epoch 4", more(Event{Kind: Late, At: 80, Client: "2", ControllerEpoch: 4, Outcome: OK})},
		{"a gap in a poll", "I5", "read offset 2 where 1", change(Final, 0, func(e *Event) { e.Records = slices.Delete(e.Records, 1, 2) })},
		{"a gap between polls", "I5", "read offset 3 where 2", more(Event{Kind: Poll, At: 80, Client: "r", Topic: "t", Records: []Record{{3, "d"}}})},
		{"a reader goes back", "I5", "read offset 1 where 2", more(Event{Kind: Poll, At: 80, Client: "r", Topic: "t", Records: []Record{{1, "b"}}})},
		{"a gap within a group's poll", "I5", "read offset 2 where 1", change(Poll, 2, func(e *Event) { e.Records = slices.Delete(e.Records, 1, 2) })},
		{"a producer's records change places", "I5", `sent "d" (offset 5) and then "e" (offset 4)`, more(send(0, "d", 5), send(1, "e", 4))},
		{"an offset that was acknowledged before", "I6", "offsets below 3 were known",
			more(with(send(0, "late", 2), func(e *Event) { e.From, e.At, e.Idempotent = 60, 61, false }))},
		{"an offset below a high watermark", "I6", "offsets below 9 were known",
			more(Event{Kind: End, From: 60, At: 61, Topic: "t", Offset: 9, Epoch: 1}, with(send(0, "late", 8), func(e *Event) { e.From, e.At = 62, 63 }))},
		{"an offset that was read before", "I6", "offsets below 9 were known",
			more(Event{Kind: Poll, At: 61, Client: "m", Topic: "t", Group: true, Records: []Record{{8, "?"}}}, with(send(0, "late", 7), func(e *Event) { e.From, e.At = 62, 63 }))},
		{"a commit goes back", "I7", "committed 1", more(Event{Kind: Commit, From: 80, At: 81, Client: "g", Topic: "t", Offset: 1, Outcome: OK})},
		{"a coordinator knows of nothing", "I7", "was told -1", more(Event{Kind: Committed, From: 80, At: 81, Client: "g", Topic: "t", Offset: -1})},
		{"the high watermark goes back", "I8", "2 in epoch 1", more(Event{Kind: End, From: 80, At: 81, Topic: "t", Offset: 2, Epoch: 1})},
		{"a new leader's high watermark is lower", "I8", "1 in epoch 2", more(Event{Kind: End, From: 80, At: 81, Topic: "t", Offset: 1, Epoch: 2})},
		{"replicas differ", "I9", "differ in the batch at 2", change(Replica, 1, func(e *Event) {
			e.Batches = []Batch{e.Batches[0], {Base: 2, Last: 2, Epoch: 1, Sum: 9}}
		})},
		{"replicas differ in an epoch", "I9", "differ in the batch at 2", change(Replica, 1, func(e *Event) {
			e.Batches = []Batch{e.Batches[0], {Base: 2, Last: 2, Epoch: 0, Sum: 8}}
		})},
		{"a replica is short", "I9", "the one on 2 1", change(Replica, 1, func(e *Event) { e.Batches = e.Batches[:1] })},
		{"a replica has a gap", "I9", "offset 3 follows 1", change(Replica, 1, func(e *Event) {
			e.Batches = []Batch{e.Batches[0], {Base: 3, Last: 3, Epoch: 1}}
		})},
		{"an epoch goes back in a log", "I9", "leader epoch 0 follows 1", change(Replica, 1, func(e *Event) {
			e.Batches = append(slices.Clone(e.Batches), Batch{Base: 3, Last: 3, Epoch: 0})
		})},
		{"a batch is damaged", "I9", "its CRC", change(Replica, 1, func(e *Event) {
			e.Batches = slices.Clone(e.Batches)
			e.Batches[0].Bad = "its CRC is wrong"
		})},
		{"the ISR is not among the replicas", "I10", "4 is in the ISR", more(with(state(3), func(e *Event) { e.ISR = []int32{2, 4} }))},
		{"the leader is not in the ISR", "I10", "the leader 2 is not in the ISR", more(with(state(3), func(e *Event) { e.ISR = []int32{1, 3} }))},
		{"the leader epoch goes back", "I10", "back to 0", more(with(state(3), func(e *Event) { e.Epoch = 0 }))},
		{"a leader without an epoch of its own", "I10", "goes from 2 to 3 in epoch 1", more(with(state(3), func(e *Event) { e.Leader = 3 }))},
		{"an unclean leader", "I10", "the new leader 1 was not in the ISR", more(
			with(state(3), func(e *Event) { e.Leader, e.ISR = -1, []int32{2} }),
			with(state(4), func(e *Event) { e.At, e.Leader, e.ISR, e.Epoch = 81, 1, []int32{1}, 2 }))},
		{"the controller epoch goes back", "I10", "from 2 back to 1", more(Event{Kind: State, At: 80, ControllerEpoch: 2}, Event{Kind: State, At: 81, ControllerEpoch: 1})},
		{"a broker knows an old leader", "I11", "broker 1 says leader 1", change(View, 0, func(e *Event) { e.Leader = 1 })},
		{"a broker knows an old ISR", "I11", "ISR [2 3]", change(View, 0, func(e *Event) { e.ISR = []int32{2, 3} })},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			anomalies := Check(c.change(sound()), Rules{})
			found := slices.ContainsFunc(anomalies, func(a Anomaly) bool { return a.Invariant == c.want && strings.Contains(a.Text, c.text) })
			if !found {
				t.Errorf("no %s with %q among %v", c.want, c.text, anomalies)
			}
		})
	}
}

func TestWhatIsAllowed(t *testing.T) {
	unclean := more(
		Event{Kind: State, At: 80, Topic: "t", Leader: -1, Epoch: 2, Version: 3, ControllerEpoch: 1, ISR: []int32{2}, Replicas: []int32{1, 2, 3}},
		Event{Kind: State, At: 81, Topic: "t", Leader: 1, Epoch: 3, Version: 4, ControllerEpoch: 1, ISR: []int32{1}, Replicas: []int32{1, 2, 3}},
		Event{Kind: View, At: 82, Client: "1", Topic: "t", Leader: 1, Epoch: 3, ISR: []int32{1}, Replicas: []int32{1, 2, 3}})
	cases := []struct {
		name   string
		rules  Rules
		change func([]Event) []Event
	}{
		{"a send whose outcome nobody knows may be read", Rules{}, func(events []Event) []Event {
			events = change(Final, 0, func(e *Event) { e.Records = append(e.Records, Record{3, "timeout"}) })(events)
			return append(events, Event{Kind: Send, From: 60, At: 65, Client: "p", Topic: "t", Seq: 9, Value: "timeout", Outcome: Unknown, Idempotent: true})
		}},
		{"a partition that could not be read to its end", Rules{}, change(Final, 0, func(e *Event) { e.Outcome, e.Records = "", nil })},
		{"a commit whose outcome nobody knows may show late", Rules{}, more(Event{Kind: Committed, From: 80, At: 81, Client: "g", Topic: "t", Offset: 2})},
		{"a commit that was not over when the other began", Rules{}, more(Event{Kind: Commit, From: 58, At: 81, Client: "g", Topic: "t", Offset: 1, Outcome: OK})},
		{"an old leader that does not know it yet", Rules{}, more(Event{Kind: End, From: 80, At: 81, Topic: "t", Offset: 2, Epoch: 0})},
		{"an acknowledgement without an offset", Rules{}, func(events []Event) []Event {
			events = change(Final, 0, func(e *Event) { e.Records = append(e.Records, Record{3, "again"}) })(events)
			return append(events, Event{Kind: Send, From: 60, At: 65, Client: "p", Topic: "t", Seq: 9, Value: "again", Offset: NoOffset, Outcome: OK, Idempotent: true})
		}},
		{"a record that its client sent anew under another epoch", Rules{}, func(events []Event) []Event {
			events = again(events, Batch{Base: 3, Last: 3, Epoch: 1, Producer: 5, ProducerEpoch: 1})
			if resent := Resent(events); len(resent) != 1 || !strings.Contains(resent[0], "[2 3]") {
				t.Errorf("resent: %v", resent)
			}
			return events
		}},
		{"records that change places under another epoch", Rules{}, func(events []Event) []Event {
			events = change(Final, 0, func(e *Event) { e.Records = append(e.Records, Record{3, "e"}, Record{4, "d"}) })(events)
			for n := range 2 {
				events = change(Replica, n, func(e *Event) {
					e.Batches = append(slices.Clone(e.Batches), Batch{Base: 3, Last: 3, Epoch: 1, Producer: 6}, Batch{Base: 4, Last: 4, Epoch: 1, Producer: 6, ProducerEpoch: 1})
				})(events)
			}
			d := Event{Kind: Send, From: 60, At: 65, Client: "p2", Topic: "t", Seq: 1, Value: "d", Offset: 4, Outcome: OK, Idempotent: true}
			e := d
			e.Seq, e.Value, e.Offset = 2, "e", 3
			return append(events, d, e)
		}},
		{"batches above the high watermark", Rules{}, change(Replica, 1, func(e *Event) {
			e.Batches = append(slices.Clone(e.Batches), Batch{Base: 3, Last: 3, Epoch: 1, Producer: -1})
		})},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			if anomalies := Check(c.change(sound()), c.rules); len(anomalies) > 0 {
				t.Error(anomalies)
			}
		})
	}
	t.Run("an unclean leader of a topic that allows it", func(t *testing.T) {
		for _, a := range Check(unclean(sound()), Rules{Unclean: true}) {
			if a.Invariant == "I10" {
				t.Error(a)
			}
		}
	})
}

func TestFewTellsHowManyMore(t *testing.T) {
	list := few("I1", slices.Repeat([]string{"x"}, 8))
	if len(list) != 6 || list[5].String() != "I1: and 3 more" {
		t.Error(list)
	}
}

type writeCloser struct{ *bytes.Buffer }

func (writeCloser) Close() error { return nil }

func TestRecorderFileReadsBack(t *testing.T) {
	var file bytes.Buffer
	r := NewRecorder(writeCloser{&file})
	for _, e := range sound() {
		r.Add(e)
	}
	r.Faultf("kill -9 broker %d", 1)
	events, err := r.Close()
	if err != nil {
		t.Fatal(err)
	}
	read, err := Read(&file)
	if err != nil || !reflect.DeepEqual(read, events) || len(read) != len(sound())+1 {
		t.Errorf("%v\n%v\n%v", err, events, read)
	}
	if _, err := Read(io.MultiReader(strings.NewReader(`{"kind":"send"}{"ki`))); err == nil {
		t.Error("half an event is read as one")
	}
}
