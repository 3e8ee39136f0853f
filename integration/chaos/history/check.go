package history

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
)

// An Anomaly is one violation of an invariant.
type Anomaly struct {
	Invariant string // I1 to I11
	Text      string
}

func (a Anomaly) String() string { return a.Invariant + ": " + a.Text }

// Rules says what the topic's configuration allows.
type Rules struct {
	Unclean bool // a leader may come from outside the ISR (unclean.leader.election.enable)
}

// Check judges a history. Anomalies come grouped by invariant, each in the order of time.
func Check(events []Event, rules Rules) []Anomaly {
	h := index(events)
	var all []Anomaly
	for _, rule := range []func(*indexed) []Anomaly{
		lostWrites, inconsistentOffsets, duplicates, sequences, abortedReads, pollOrder, sendOrder, knownBefore, commits, watermarks, replicas, views,
	} {
		all = append(all, rule(h)...)
	}
	return append(all, states(h, rules)...)
}

type place struct {
	topic     string
	partition int32
}

func (p place) String() string { return fmt.Sprintf("%s-%d", p.topic, p.partition) }

func (e *Event) place() place { return place{e.Topic, e.Partition} }

// indexed is a history by kind, each kind in the order of time.
type indexed struct {
	by     map[Kind][]*Event
	places []place
}

func index(events []Event) *indexed {
	h := &indexed{by: map[Kind][]*Event{}}
	seen := map[place]bool{}
	for i := range events {
		e := &events[i]
		h.by[e.Kind] = append(h.by[e.Kind], e)
		if e.Topic != "" && !seen[e.place()] {
			seen[e.place()] = true
			h.places = append(h.places, e.place())
		}
	}
	for _, list := range h.by {
		slices.SortStableFunc(list, func(a, b *Event) int { return cmp.Compare(a.At, b.At) })
	}
	return h
}

// at is the events of a kind that are about a partition.
func (h *indexed) at(kind Kind, p place) []*Event {
	var list []*Event
	for _, e := range h.by[kind] {
		if e.place() == p {
			list = append(list, e)
		}
	}
	return list
}

// placed is the acknowledged sends whose offset is known.
func placed(sends []*Event) []*Event {
	return slices.DeleteFunc(slices.Clone(sends), func(e *Event) bool { return e.Outcome != OK || e.Offset == NoOffset })
}

// polls is every poll, the final ones included.
func (h *indexed) polls() []*Event { return slices.Concat(h.by[Poll], h.by[Final]) }

// few keeps an invariant's first anomalies and says how many there are.
func few(invariant string, texts []string) []Anomaly {
	const most = 5
	var list []Anomaly
	for i, text := range texts {
		if i == most {
			return append(list, Anomaly{invariant, fmt.Sprintf("and %d more", len(texts)-most)})
		}
		list = append(list, Anomaly{invariant, text})
	}
	return list
}

// lostWrites (I1): an acknowledged value is among what is read when all is over. A partition that was not read to its end then is not judged.
func lostWrites(h *indexed) []Anomaly {
	read, ended := map[place]map[string]bool{}, map[place]bool{}
	for _, e := range h.by[Final] {
		ended[e.place()] = ended[e.place()] || e.Outcome == OK
		if read[e.place()] == nil {
			read[e.place()] = map[string]bool{}
		}
		for _, r := range e.Records {
			read[e.place()][r.Value] = true
		}
	}
	var texts []string
	for _, e := range h.by[Send] {
		if ended[e.place()] && e.Outcome == OK && !read[e.place()][e.Value] {
			texts = append(texts, fmt.Sprintf("%s: %q, acknowledged at offset %d after %.3f s, is lost", e.place(), e.Value, e.Offset, seconds(e.At)))
		}
	}
	return few("I1", texts)
}

func seconds(ns int64) float64 { return float64(ns) / 1e9 }

// inconsistentOffsets (I2): one offset has one value, whoever names it: the producer's acknowledgement or any consumer.
func inconsistentOffsets(h *indexed) []Anomaly {
	type spot struct {
		place
		offset int64
	}
	values := map[spot]string{}
	var texts []string
	see := func(p place, offset int64, value, who string) {
		s := spot{p, offset}
		if first, seen := values[s]; !seen {
			values[s] = value
		} else if first != value {
			texts = append(texts, fmt.Sprintf("%s: offset %d is %q, and to %s %q", p, offset, first, who, value))
		}
	}
	for _, e := range placed(h.by[Send]) {
		see(e.place(), e.Offset, e.Value, e.Client)
	}
	for _, e := range h.polls() {
		for _, r := range e.Records {
			see(e.place(), r.Offset, r.Value, e.Client)
		}
	}
	return few("I2", texts)
}

// duplicates (I3): what an idempotent producer sent once stands at one offset. A client may send a record anew under a new producer epoch, although its
// first sending took effect (librdkafka does at leader changes, confluentinc/librdkafka#4953); no broker can know: see Resent.
func duplicates(h *indexed) []Anomaly {
	var texts []string
	for _, c := range copies(h) {
		if !c.anew {
			texts = append(texts, c.String())
		}
	}
	return few("I3", texts)
}

// Resent lists the duplicates that stand under several producer ids or epochs: they are their clients' doing.
func Resent(events []Event) []string {
	var texts []string
	for _, c := range copies(index(events)) {
		if c.anew {
			texts = append(texts, c.String())
		}
	}
	return texts
}

// copied is an idempotent producer's record that stands at several offsets.
type copied struct {
	*Event
	offsets []int64
	anew    bool // each under another producer id or epoch
}

func (c copied) String() string {
	return fmt.Sprintf("%s: %q of the idempotent %s stands at the offsets %v", c.place(), c.Value, c.Client, c.offsets)
}

func copies(h *indexed) []copied {
	type written struct {
		place
		value string
	}
	where := map[written]map[int64]bool{}
	for _, e := range h.by[Send] {
		if e.Idempotent {
			where[written{e.place(), e.Value}] = map[int64]bool{}
		}
	}
	for _, e := range h.polls() {
		for _, r := range e.Records {
			if offsets := where[written{e.place(), r.Value}]; offsets != nil {
				offsets[r.Offset] = true
			}
		}
	}
	var list []copied
	for _, e := range h.by[Send] {
		if offsets := where[written{e.place(), e.Value}]; len(offsets) > 1 {
			sorted := slices.Sorted(maps.Keys(offsets))
			list = append(list, copied{e, sorted, h.writtenAnew(e.place(), sorted)})
		}
	}
	return list
}

// life is a producer id with its epoch.
type life struct {
	producer int64
	epoch    int16
}

// writtenAnew says whether the replicas' files are known to have each of the offsets from another life of a producer.
func (h *indexed) writtenAnew(p place, offsets []int64) bool {
	lives := map[life]bool{}
	for _, offset := range offsets {
		if l, known := h.writer(p, offset); known {
			lives[l] = true
		}
	}
	return len(lives) == len(offsets)
}

// writer is whose batch the replicas' files have at an offset.
func (h *indexed) writer(p place, offset int64) (l life, known bool) {
	logs := h.at(Replica, p)
	if len(logs) == 0 {
		return l, false
	}
	batches := logs[0].Batches
	i, _ := slices.BinarySearchFunc(batches, offset, func(b Batch, offset int64) int { return cmp.Compare(b.Last, offset) })
	if i == len(batches) {
		return l, false
	}
	return life{batches[i].Producer, batches[i].ProducerEpoch}, true
}

// sequences (I3): in a log, an idempotent producer's sequence numbers begin with 0 and count on without gap or repetition.
func sequences(h *indexed) []Anomaly {
	var texts []string
	for _, p := range h.places {
		for _, e := range h.at(Replica, p) {
			next := map[life]int32{}
			for _, b := range e.Batches {
				key := life{b.Producer, b.ProducerEpoch}
				if b.Producer >= 0 && b.Sequence != next[key] {
					texts = append(texts, fmt.Sprintf("%s: broker %s, batch at %d: sequence %d of producer %d, epoch %d, where %d was next",
						p, e.Client, b.Base, b.Sequence, b.Producer, b.ProducerEpoch, next[key]))
				}
				next[key] = b.Sequence + int32(b.Last-b.Base) + 1
			}
		}
	}
	return few("I3", texts)
}

// abortedReads (I4): a refused value is never read.
func abortedReads(h *indexed) []Anomaly {
	failed := map[string]bool{}
	for _, e := range h.by[Send] {
		if e.Outcome == Failed {
			failed[e.Value] = true
		}
	}
	var texts []string
	for _, e := range h.polls() {
		for _, r := range e.Records {
			if failed[r.Value] {
				texts = append(texts, fmt.Sprintf("%s: %s read %q at offset %d, which was refused", e.place(), e.Client, r.Value, r.Offset))
			}
		}
	}
	return few("I4", texts)
}

// pollOrder (I5): a consumer that assigned itself a partition reads it offset by offset, from 0, without gap and without going back.
// Consumers in groups may go back when the partition moves, but not within a poll.
func pollOrder(h *indexed) []Anomaly {
	type reader struct {
		place
		client string
	}
	next := map[reader]int64{}
	var texts []string
	for _, e := range h.polls() {
		key := reader{e.place(), e.Client}
		want := next[key]
		if e.Group && len(e.Records) > 0 {
			want = e.Records[0].Offset
		}
		for _, r := range e.Records {
			if r.Offset != want {
				texts = append(texts, fmt.Sprintf("%s: %s read offset %d where %d was next", e.place(), e.Client, r.Offset, want))
			}
			want = r.Offset + 1
		}
		next[key] = want
	}
	return few("I5", texts)
}

// sendOrder (I5): what a producer sent later stands later, unless it came under another producer epoch: see duplicates.
func sendOrder(h *indexed) []Anomaly {
	type writer struct {
		place
		client string
	}
	sends := map[writer][]*Event{}
	for _, e := range placed(h.by[Send]) {
		if e.Idempotent {
			key := writer{e.place(), e.Client}
			sends[key] = append(sends[key], e)
		}
	}
	var texts []string
	for key, list := range sends {
		slices.SortFunc(list, func(a, b *Event) int { return cmp.Compare(a.Seq, b.Seq) })
		for i := 1; i < len(list); i++ {
			if a, b := list[i-1], list[i]; b.Offset <= a.Offset && !h.writtenAnew(key.place, []int64{a.Offset, b.Offset}) {
				texts = append(texts, fmt.Sprintf("%s: %s sent %q (offset %d) and then %q (offset %d)", key.place, key.client, a.Value, a.Offset, b.Value, b.Offset))
			}
		}
	}
	slices.Sort(texts)
	return few("I5", texts)
}

// knownBefore (I6): a record's offset is not below an offset that somebody knew to be taken before the record was sent.
func knownBefore(h *indexed) []Anomaly {
	var texts []string
	for _, p := range h.places {
		type bound struct{ at, end int64 } // from at on, offsets below end are taken
		var bounds []bound
		for _, e := range placed(h.at(Send, p)) {
			bounds = append(bounds, bound{e.At, e.Offset + 1})
		}
		for _, e := range h.at(Poll, p) {
			if n := len(e.Records); n > 0 {
				bounds = append(bounds, bound{e.At, e.Records[n-1].Offset + 1})
			}
		}
		for _, e := range h.at(End, p) {
			bounds = append(bounds, bound{e.At, e.Offset})
		}
		slices.SortFunc(bounds, func(a, b bound) int { return cmp.Compare(a.at, b.at) })
		for i := 1; i < len(bounds); i++ {
			bounds[i].end = max(bounds[i].end, bounds[i-1].end)
		}
		for _, e := range placed(h.at(Send, p)) {
			i, _ := slices.BinarySearchFunc(bounds, e.From, func(b bound, from int64) int { return cmp.Compare(b.at, from) })
			if i > 0 && e.Offset < bounds[i-1].end {
				texts = append(texts, fmt.Sprintf("%s: %q, sent after %.3f s, got offset %d when offsets below %d were known", p, e.Value, seconds(e.From), e.Offset, bounds[i-1].end))
			}
		}
	}
	return few("I6", texts)
}
