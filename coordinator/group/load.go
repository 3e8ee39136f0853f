package group

import (
	"context"
	"fmt"

	"gregor/protocol"
	"gregor/protocol/record"
)

// replay builds the groups of one partition from its log: the last record of a key counts. Offsets of transactions count from
// their COMMIT marker on, unless a later record came before the marker; after ABORT they are gone; without marker they stay
// pending.
type replay struct {
	offsets map[groupPartition]offsetEntry
	pending map[int64]map[groupPartition]offsetEntry // by producer id
	groups  map[string]*loadedGroup
	skipped int   // records that could not be read
	first   error // why the first of them could not
}

type groupPartition struct {
	group string
	tp    protocol.TopicPartition
}

func newReplay() *replay {
	return &replay{
		offsets: map[groupPartition]offsetEntry{},
		pending: map[int64]map[groupPartition]offsetEntry{},
		groups:  map[string]*loadedGroup{},
	}
}

// batch applies one batch. A record that cannot be read is skipped and counted; an error means that the batch cannot be read
// at all.
func (r *replay) batch(b record.Batch) error {
	err := b.Each(0, func(rec record.Record) error {
		if err := r.record(b, rec); err != nil {
			r.skipped++
			if r.first == nil {
				r.first = fmt.Errorf("offset %d: %w", b.BaseOffset()+int64(rec.OffsetDelta), err)
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("batch at offset %d: %w", b.BaseOffset(), err)
	}
	return nil
}

func (r *replay) record(b record.Batch, rec record.Record) error {
	if b.Control() {
		return r.marker(b.ProducerID(), rec.Key)
	}
	key, err := decodeKey(rec.Key)
	if err != nil {
		return err
	}
	switch key.kind {
	case offsetRecord:
		return r.offset(b, groupPartition{key.group, key.tp}, rec.Value)
	case groupRecord:
		if rec.Value == nil {
			delete(r.groups, key.group)
			return nil
		}
		g, err := decodeGroup(rec.Value)
		if err == nil {
			r.groups[key.group] = g
		}
		return err
	}
	return nil
}

func (r *replay) offset(b record.Batch, at groupPartition, value []byte) error {
	into := r.offsets
	if b.Transactional() {
		if into = r.pending[b.ProducerID()]; into == nil {
			into = map[groupPartition]offsetEntry{}
			r.pending[b.ProducerID()] = into
		}
	}
	if value == nil {
		delete(into, at)
		return nil
	}
	o, err := decodeOffset(value)
	if err == nil {
		into[at] = offsetEntry{o, b.BaseOffset()}
	}
	return err
}

// marker ends the transaction of a producer.
func (r *replay) marker(producerID int64, key []byte) error {
	commit, err := controlType(key)
	if err != nil {
		return err
	}
	if commit {
		for at, o := range r.pending[producerID] {
			if old, exists := r.offsets[at]; !exists || old.batch < o.batch {
				r.offsets[at] = o
			}
		}
	}
	delete(r.pending, producerID)
	return nil
}

// build makes the groups: those with metadata, and those that only have offsets.
func (r *replay) build(partition int32, rules *rules, now int64) map[string]*group {
	all := make(map[string]*group, len(r.groups))
	get := func(id string) *group {
		g := all[id]
		if g == nil {
			g = newGroup(id, partition, rules, now)
			all[id] = g
		}
		return g
	}
	for id, loaded := range r.groups {
		get(id).restore(loaded)
	}
	for at, o := range r.offsets {
		get(at.group).setOffset(at.tp, o)
	}
	for producerID, offsets := range r.pending {
		for at, o := range offsets {
			get(at.group).setPendingTxn(producerID, at.tp, o)
		}
	}
	return all
}

// restore takes over what the log knows of a group: it is Stable with members and Empty without.
func (g *group) restore(l *loadedGroup) {
	g.generation, g.protocolType, g.protocol = l.generation, l.protocolType, l.protocol
	g.stateTimestamp = l.stateTimestamp
	for _, m := range l.members {
		if g.members[m.id] != nil {
			continue // no broker writes a member twice
		}
		g.add(m)
	}
	if g.leader = l.leader; len(g.members) > 0 {
		g.state = Stable
	}
	g.subscribed = g.computeSubscribed()
}

// resume starts the sessions of a group that was loaded. One that is over a lowered group.max.size rebalances, so that its
// members can commit before some of them are shed.
func (g *group) resume(now int64, out *effects) {
	out.infof("Loading group metadata for %s with generation %d", g.id, g.generation)
	if len(g.members) > g.rules.maxSize {
		g.prepareRebalance(fmt.Sprintf("Freshly-loaded group %s is over capacity (%d). Rebalancing in order to give a chance for consumers to commit offsets",
			g.id, g.rules.maxSize), now, out)
	}
	for _, m := range g.members {
		g.keepAlive(m, now)
	}
}

func (g *group) setPendingTxn(producerID int64, tp protocol.TopicPartition, o offsetEntry) {
	if g.pendingTxn == nil {
		g.pendingTxn = map[int64]map[protocol.TopicPartition]offsetEntry{}
	}
	if g.pendingTxn[producerID] == nil {
		g.pendingTxn[producerID] = map[protocol.TopicPartition]offsetEntry{}
	}
	g.pendingTxn[producerID][tp] = o
}

// load replays the log of a partition.
func load(ctx context.Context, l Log, partition int32) (*replay, error) {
	r := newReplay()
	if err := l.Load(ctx, partition, r.batch); err != nil {
		return nil, err
	}
	return r, nil
}
