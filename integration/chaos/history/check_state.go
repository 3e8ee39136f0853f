package history

import (
	"fmt"
	"slices"
)

// commits (I7): a group's committed offset never goes back. Only a commit whose outcome nobody knows may still appear late.
func commits(h *indexed) []Anomaly {
	var texts []string
	for _, p := range h.places {
		byGroup := map[string][]*Event{}
		for _, e := range slices.Concat(h.at(Commit, p), h.at(Committed, p)) {
			byGroup[e.Client] = append(byGroup[e.Client], e)
		}
		for group, list := range byGroup {
			texts = append(texts, groupCommits(p, group, list)...)
		}
	}
	slices.Sort(texts)
	return few("I7", texts)
}

func groupCommits(p place, group string, list []*Event) (texts []string) {
	unknown := map[int64]bool{}
	for _, e := range list {
		if e.Kind == Commit && e.Outcome != OK {
			unknown[e.Offset] = true
		}
	}
	for _, e := range list {
		if e.Kind == Commit && e.Outcome != OK {
			continue
		}
		known := int64(-1) // the highest offset acknowledged as committed before e began
		for _, earlier := range list {
			if earlier.At < e.From && (earlier.Kind == Committed || earlier.Outcome == OK) {
				known = max(known, earlier.Offset)
			}
		}
		if e.Offset < known && !unknown[e.Offset] {
			verb := "was told"
			if e.Kind == Commit {
				verb = "committed"
			}
			texts = append(texts, fmt.Sprintf("%s: group %s %s %d after %.3f s, when %d was committed already", p, group, verb, e.Offset, seconds(e.At), known))
		}
	}
	return texts
}

// watermarks (I8): the high watermark that clients are told never goes back within a leader epoch, nor from one epoch to a later one. An
// older leader that does not know yet that it is one may still name less.
func watermarks(h *indexed) []Anomaly {
	var texts []string
	for _, p := range h.places {
		list := h.at(End, p)
		for i, e := range list {
			for _, earlier := range list[:i] {
				if earlier.At < e.From && earlier.Epoch <= e.Epoch && earlier.Offset > e.Offset {
					texts = append(texts, fmt.Sprintf("%s: high watermark %d in epoch %d after %.3f s, when it had been %d in epoch %d",
						p, e.Offset, e.Epoch, seconds(e.At), earlier.Offset, earlier.Epoch))
					break
				}
			}
		}
	}
	return few("I8", texts)
}

// replicas (I9): when all is over every replica is the same, batch by batch, up to the high watermark; offsets have no gap, leader
// epochs never go back, and every batch is sound.
func replicas(h *indexed) []Anomaly {
	var texts []string
	for _, p := range h.places {
		var first *Event
		for _, e := range h.at(Replica, p) {
			texts = append(texts, soundLog(p, e)...)
			if first == nil {
				first = e
			} else if text := compareLogs(first, e); text != "" {
				texts = append(texts, p.String()+": "+text)
			}
		}
	}
	return few("I9", texts)
}

func soundLog(p place, e *Event) (texts []string) {
	var next int64
	var epoch int32
	for i, b := range e.Batches {
		switch {
		case b.Bad != "":
			texts = append(texts, fmt.Sprintf("%s: broker %s, batch at %d: %s", p, e.Client, b.Base, b.Bad))
		case i > 0 && b.Base != next:
			texts = append(texts, fmt.Sprintf("%s: broker %s, offset %d follows %d", p, e.Client, b.Base, next-1))
		case b.Epoch < epoch:
			texts = append(texts, fmt.Sprintf("%s: broker %s, batch at %d: leader epoch %d follows %d", p, e.Client, b.Base, b.Epoch, epoch))
		}
		next, epoch = b.Last+1, b.Epoch
	}
	return texts
}

// compareLogs names the first difference of two replicas below the high watermark; "" means that there is none.
func compareLogs(a, b *Event) string {
	below := func(e *Event) []Batch {
		mark := min(a.Offset, b.Offset)
		return slices.DeleteFunc(slices.Clone(e.Batches), func(batch Batch) bool { return batch.Last >= mark })
	}
	left, right := below(a), below(b)
	for i := range min(len(left), len(right)) {
		if left[i] != right[i] {
			return fmt.Sprintf("the replicas on %s and %s differ in the batch at %d: %+v, %+v", a.Client, b.Client, left[i].Base, left[i], right[i])
		}
	}
	if len(left) != len(right) {
		return fmt.Sprintf("the replica on %s has %d batches up to the high watermark, the one on %s %d", a.Client, len(left), b.Client, len(right))
	}
	return ""
}

// states (I10): the ISR is among the replicas, the leader is in the ISR, epochs never go back, and, unless unclean elections are
// allowed, a leader comes out of the ISR before it: that is seen where no version of the znode was missed. Nobody obeys a controller after another one was elected.
func states(h *indexed, rules Rules) []Anomaly {
	var texts []string
	var controller int32
	for _, e := range h.by[State] {
		if e.Topic == "" { // the controller's own epoch
			if e.ControllerEpoch < controller {
				texts = append(texts, fmt.Sprintf("the controller epoch goes from %d back to %d", controller, e.ControllerEpoch))
			}
			controller = e.ControllerEpoch
		}
	}
	for _, e := range h.by[Late] {
		if e.Outcome == OK {
			texts = append(texts, fmt.Sprintf("broker %s obeys the controller of epoch %d after another one was elected", e.Client, e.ControllerEpoch))
		}
	}
	for _, p := range h.places {
		var last *Event
		for _, e := range h.at(State, p) {
			texts = append(texts, stateItself(p, e)...)
			if last != nil {
				texts = append(texts, stateChange(p, last, e, rules)...)
			}
			last = e
		}
	}
	return few("I10", texts)
}

func stateItself(p place, e *Event) (texts []string) {
	for _, id := range e.ISR {
		if !slices.Contains(e.Replicas, id) {
			texts = append(texts, fmt.Sprintf("%s, version %d: %d is in the ISR %v and not among the replicas %v", p, e.Version, id, e.ISR, e.Replicas))
		}
	}
	if e.Leader >= 0 && !slices.Contains(e.ISR, e.Leader) {
		texts = append(texts, fmt.Sprintf("%s, version %d: the leader %d is not in the ISR %v", p, e.Version, e.Leader, e.ISR))
	}
	return texts
}

func stateChange(p place, last, e *Event, rules Rules) (texts []string) {
	if e.Epoch < last.Epoch || e.ControllerEpoch < last.ControllerEpoch || e.Version < last.Version {
		texts = append(texts, fmt.Sprintf("%s: leader epoch, controller epoch, version go from %d, %d, %d back to %d, %d, %d",
			p, last.Epoch, last.ControllerEpoch, last.Version, e.Epoch, e.ControllerEpoch, e.Version))
	}
	if e.Leader != last.Leader && e.Epoch == last.Epoch {
		texts = append(texts, fmt.Sprintf("%s: the leader goes from %d to %d in epoch %d", p, last.Leader, e.Leader, e.Epoch))
	}
	if !rules.Unclean && e.Version == last.Version+1 && e.Leader >= 0 && !slices.Contains(last.ISR, e.Leader) {
		texts = append(texts, fmt.Sprintf("%s, version %d: the new leader %d was not in the ISR %v", p, e.Version, e.Leader, last.ISR))
	}
	return texts
}

// views (I11): when all is over every broker says about a partition what ZooKeeper says.
func views(h *indexed) []Anomaly {
	var texts []string
	for _, p := range h.places {
		list := h.at(State, p)
		if len(list) == 0 {
			continue
		}
		truth := list[len(list)-1]
		for _, e := range h.at(View, p) {
			if e.Leader != truth.Leader || e.Epoch != truth.Epoch || !same(e.ISR, truth.ISR) || !same(e.Replicas, truth.Replicas) {
				texts = append(texts, fmt.Sprintf("%s: broker %s says leader %d, epoch %d, ISR %v, replicas %v; ZooKeeper %d, %d, %v, %v",
					p, e.Client, e.Leader, e.Epoch, e.ISR, e.Replicas, truth.Leader, truth.Epoch, truth.ISR, truth.Replicas))
			}
		}
	}
	return few("I11", texts)
}

// same compares sets of brokers.
func same(a, b []int32) bool {
	return slices.Equal(slices.Sorted(slices.Values(a)), slices.Sorted(slices.Values(b)))
}
