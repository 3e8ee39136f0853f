package sim

import (
	"fmt"
	"maps"
	"slices"

	"gregor/protocol"
	"gregor/zk"
)

// tree is ZooKeeper as its servers have it: what Kafka keeps there, who is watching, and which sessions live. Every change is one step.
type tree struct {
	world *world
	zxid  int64

	brokers         map[int32]registration
	controller      *controllerNode
	controllerEpoch int32
	electedIn       map[int32]*session // controller epoch -> the session that won it
	topic           *zk.Topic
	states          map[protocol.TopicPartition]zk.PartitionState
	preferred       []protocol.TopicPartition // /admin/preferred_replica_election, nil: not there
	reassignments   []zk.Reassignment         // /admin/reassign_partitions, nil: not there
	changedISRs     []protocol.TopicPartition // /isr_change_notification
}

type registration struct {
	epoch   int64 // czxid
	session *session
}

type controllerNode struct {
	id      int32
	session *session
}

// session of one life of a broker. A broker that was cut off, paused or dead for too long loses it and gets another.
type session struct {
	node    *node
	number  int
	expired bool
}

func newTree(w *world) *tree {
	return &tree{world: w, brokers: map[int32]registration{}, electedIn: map[int32]*session{}, states: map[protocol.TopicPartition]zk.PartitionState{}}
}

// changed counts a transaction and tells those who watch path.
func (t *tree) changed(path string, kind zk.WatchKind) {
	t.zxid++
	for _, n := range t.world.nodes {
		if n.running {
			n.zk.noticed(watchKey{path, kind})
		}
	}
}

// expire ends a session: its ephemeral znodes go.
func (t *tree) expire(s *session) {
	if s.expired {
		return
	}
	s.expired = true
	t.world.say("zk: session %d of broker %d expired", s.number, s.node.id)
	if r, ok := t.brokers[s.node.id]; ok && r.session == s {
		delete(t.brokers, s.node.id)
		t.changed(zk.BrokerIDsPath, zk.WatchChildren)
		t.changed(zk.BrokerPath(s.node.id), zk.WatchData)
	}
	if t.controller != nil && t.controller.session == s {
		t.controller = nil
		t.changed(zk.ControllerPath, zk.WatchData)
	}
}

// register creates /brokers/ids/N; false while a former life's session still holds it.
func (t *tree) register(s *session) (epoch int64, ok bool) {
	if old, taken := t.brokers[s.node.id]; taken {
		if old.session != s {
			return 0, false
		}
		delete(t.brokers, s.node.id)
		t.changed(zk.BrokerIDsPath, zk.WatchChildren)
	}
	t.changed(zk.BrokerIDsPath, zk.WatchChildren)
	t.brokers[s.node.id] = registration{epoch: t.zxid, session: s}
	return t.zxid, true
}

func (t *tree) broker(id int32) (zk.Broker, bool) {
	r, ok := t.brokers[id]
	return zk.Broker{ID: id, Epoch: r.epoch, JMXPort: -1, Endpoints: []zk.Endpoint{{Listener: listener, Protocol: listener, Host: "sim", Port: id}}}, ok
}

const listener = "PLAINTEXT"

// registered lists the registrations as a controller reads them.
func (t *tree) registered() []zk.Broker {
	var all []zk.Broker
	for _, id := range slices.Sorted(maps.Keys(t.brokers)) {
		b, _ := t.broker(id)
		all = append(all, b)
	}
	return all
}

// elect is the MULTI of /controller and /controller_epoch.
func (t *tree) elect(s *session) (zk.Fence, error) {
	if t.controller != nil {
		return zk.Fence{}, zk.ErrNotElected
	}
	t.controller = &controllerNode{s.node.id, s}
	t.controllerEpoch++
	t.electedIn[t.controllerEpoch] = s
	t.changed(zk.ControllerPath, zk.WatchData)
	return zk.Fence{Epoch: t.controllerEpoch}, nil
}

// fence is what every write of a controller is bound to: its session, and that nobody was elected since.
func (t *tree) fence(f zk.Fence) error {
	switch {
	case t.world.options.mutant == staleControllerAccepted:
		return nil
	case t.electedIn[f.Epoch].expired:
		return zk.ErrSessionExpired
	case f.Epoch != t.controllerEpoch:
		return fmt.Errorf("%w (our epoch %d)", zk.ErrControllerMoved, f.Epoch)
	}
	return nil
}

// createTopic is what the admin client's broker does.
func (t *tree) createTopic(replicas []int32) {
	t.topic = &zk.Topic{Name: tp0.Topic, ID: theTopic, Partitions: map[int32][]int32{tp0.Partition: replicas}, Adding: map[int32][]int32{}, Removing: map[int32][]int32{}}
	t.changed(zk.TopicsPath, zk.WatchChildren)
}

// write sets or creates the state of the partition.
func (t *tree) write(tp protocol.TopicPartition, st zk.PartitionState) {
	t.zxid++
	before := t.states[tp]
	st.Modified = t.zxid
	t.states[tp] = st
	t.world.say("zk: %v leader %d epoch %d isr %v (controller epoch %d, version %d)", tp, st.Leader, st.LeaderEpoch, st.ISR, st.ControllerEpoch, st.Version)
	t.world.rules.stateWritten(before, st)
}

// replicas is the assignment; settled says that none of it is on its way.
func (t *tree) replicas() (replicas []int32, settled bool) {
	if t.topic == nil {
		return nil, false
	}
	n := tp0.Partition
	return t.topic.Partitions[n], len(t.topic.Adding[n]) == 0 && len(t.topic.Removing[n]) == 0 && t.reassignments == nil
}

// meansLife reports whether the state's ISR has the broker with the life of this registration.
func (t *tree) meansLife(b zk.Broker) bool {
	st := t.state()
	i := slices.Index(st.ISR, b.ID)
	switch {
	case i < 0:
		return false
	case st.ISREpochs != nil:
		return st.ISREpochs[i] == b.Epoch
	}
	return b.Epoch < st.Modified
}

// state is the partition's, zero before the first election.
func (t *tree) state() zk.PartitionState { return t.states[tp0] }
