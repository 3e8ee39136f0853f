package controller

import (
	"maps"
	"slices"

	"github.com/twmb/franz-go/pkg/kmsg"

	"gregor/zk"
)

// Sentinels of requests about topics in deletion (kafka.api.LeaderAndIsr).
const (
	leaderDuringDelete = -2
	epochDuringDelete  = -2
	noEpoch            = -1
)

// batch collects what one state change has to tell the brokers, and builds one request of each kind per broker
// (kafka.controller.AbstractControllerBrokerRequestBatch). It only reads the cluster.
type batch struct {
	cluster *cluster

	leaderAndISR map[int32]map[*partition]bool // broker -> partition -> isNew
	metadataTo   map[int32]bool
	metadata     map[*partition]bool
	stop         map[int32]map[*partition]bool // broker -> partition -> delete
}

func newBatch(c *cluster) *batch {
	return &batch{cluster: c, leaderAndISR: map[int32]map[*partition]bool{}, metadataTo: map[int32]bool{},
		metadata: map[*partition]bool{}, stop: map[int32]map[*partition]bool{}}
}

// addLeaderAndISR tells replicas the leadership of p, and all brokers through UpdateMetadata.
func (b *batch) addLeaderAndISR(brokers []int32, p *partition, isNew bool) {
	for _, id := range brokers {
		if b.leaderAndISR[id] == nil {
			b.leaderAndISR[id] = map[*partition]bool{}
		}
		b.leaderAndISR[id][p] = b.leaderAndISR[id][p] || isNew
	}
	b.addUpdateMetadata(b.cluster.liveOrShuttingDown(), p)
}

// addUpdateMetadata tells brokers the list of brokers and these partitions.
func (b *batch) addUpdateMetadata(brokers []int32, ps ...*partition) {
	for _, id := range brokers {
		b.metadataTo[id] = true
	}
	for _, p := range ps {
		b.metadata[p] = true
	}
}

// addStopReplica tells a broker to stop its replica of p, and to delete it.
func (b *batch) addStopReplica(broker int32, p *partition, del bool) {
	if b.stop[broker] == nil {
		b.stop[broker] = map[*partition]bool{}
	}
	b.stop[broker][p] = b.stop[broker][p] || del
}

// outgoing is a request to a broker.
type outgoing struct {
	broker  int32
	request kmsg.Request
}

// build makes the requests, in the order in which each broker must see them: LeaderAndIsr, UpdateMetadata, StopReplica.
func (b *batch) build(sender origin) []outgoing {
	var out []outgoing
	for _, id := range slices.Sorted(maps.Keys(b.leaderAndISR)) {
		if broker, ok := b.cluster.brokers[id]; ok {
			out = append(out, outgoing{id, inVersionLeaderAndISR(b.leaderAndISRRequest(sender, broker))})
		}
	}
	if len(b.metadataTo) > 0 {
		topics := b.metadataTopics(sender)
		brokers := b.metadataBrokers()
		for _, id := range slices.Sorted(maps.Keys(b.metadataTo)) {
			if broker, ok := b.cluster.brokers[id]; ok {
				r := kmsg.NewPtrUpdateMetadataRequest()
				r.Version = sender.protocol.UpdateMetadata
				r.ControllerID, r.ControllerEpoch, r.BrokerEpoch = sender.id, sender.epoch, broker.Epoch
				r.TopicStates, r.LiveBrokers = topics, brokers
				out = append(out, outgoing{id, inVersionUpdateMetadata(r)})
			}
		}
	}
	for _, id := range slices.Sorted(maps.Keys(b.stop)) {
		if broker, ok := b.cluster.brokers[id]; ok {
			for _, r := range inVersionStopReplica(b.stopReplicaRequest(sender, broker)) {
				out = append(out, outgoing{id, r})
			}
		}
	}
	return out
}

// origin is the controller as its requests name it.
type origin struct {
	id, epoch int32
	listener  string // the listener on which brokers reach each other
	protocol  Protocol
}

func (b *batch) leaderAndISRRequest(sender origin, to zk.Broker) *kmsg.LeaderAndISRRequest {
	r := kmsg.NewLeaderAndISRRequest()
	r.Version = sender.protocol.LeaderAndISR
	r.ControllerID, r.ControllerEpoch, r.BrokerEpoch = sender.id, sender.epoch, to.Epoch
	leaders := map[int32]bool{}
	eachTopic(b.cluster, b.leaderAndISR[to.ID], func(t *topic, ps []*partition) {
		ts := kmsg.NewLeaderAndISRRequestTopicState()
		ts.Topic, ts.TopicID = t.name, t.id
		for _, p := range ps {
			l := p.leadership
			s := kmsg.NewLeaderAndISRRequestTopicPartition()
			s.Partition, s.ControllerEpoch = p.tp.Partition, l.ControllerEpoch
			s.Leader, s.LeaderEpoch, s.ISR, s.ZKVersion = l.Leader, l.LeaderEpoch, l.ISR, l.Version
			s.Replicas, s.AddingReplicas, s.RemovingReplicas = p.assignment.replicas, p.assignment.adding, p.assignment.removing
			s.IsNew, s.LeaderRecoveryState = b.leaderAndISR[to.ID][p], l.Recovery
			ts.PartitionStates = append(ts.PartitionStates, s)
			leaders[l.Leader] = true
		}
		r.TopicStates = append(r.TopicStates, ts)
	})
	for _, id := range slices.Sorted(maps.Keys(leaders)) {
		leader, ok := b.cluster.brokers[id]
		if !ok {
			continue
		}
		if e, ok := leader.Endpoint(sender.listener); ok {
			l := kmsg.NewLeaderAndISRRequestLiveLeader()
			l.BrokerID, l.Host, l.Port = id, e.Host, e.Port
			r.LiveLeaders = append(r.LiveLeaders, l)
		}
	}
	return &r
}

// metadataTopics lists the changed partitions. Those without a leader yet are left out; those of a topic in deletion
// have the leader that makes brokers forget them.
func (b *batch) metadataTopics(sender origin) []kmsg.UpdateMetadataRequestTopicState {
	var topics []kmsg.UpdateMetadataRequestTopicState
	eachTopic(b.cluster, b.metadata, func(t *topic, ps []*partition) {
		ts := kmsg.NewUpdateMetadataRequestTopicState()
		ts.Topic, ts.TopicID = t.name, t.id
		for _, p := range ps {
			if p.leadership == nil {
				continue
			}
			l := *p.leadership
			if b.cluster.inDeletion(t.name) {
				l = zk.PartitionState{Leader: leaderDuringDelete, ISR: l.ISR, ControllerEpoch: l.ControllerEpoch}
			}
			s := kmsg.NewUpdateMetadataRequestTopicPartition()
			s.Partition, s.ControllerEpoch = p.tp.Partition, l.ControllerEpoch
			s.Leader, s.LeaderEpoch, s.ISR, s.ZKVersion = l.Leader, l.LeaderEpoch, l.ISR, l.Version
			s.Replicas = p.assignment.replicas
			s.OfflineReplicas = filter(s.Replicas, func(id int32) bool { return !b.cluster.isReplicaOnline(id, p.tp) })
			ts.PartitionStates = append(ts.PartitionStates, s)
		}
		if len(ts.PartitionStates) > 0 {
			topics = append(topics, ts)
		}
	})
	return topics
}

// securityProtocols are Kafka's ids of security protocols.
var securityProtocols = map[string]int16{"PLAINTEXT": 0, "SSL": 1, "SASL_PLAINTEXT": 2, "SASL_SSL": 3}

// metadataBrokers lists every broker with all its endpoints, those shutting down included.
func (b *batch) metadataBrokers() []kmsg.UpdateMetadataRequestLiveBroker {
	var brokers []kmsg.UpdateMetadataRequestLiveBroker
	for _, id := range b.cluster.liveOrShuttingDown() {
		broker := b.cluster.brokers[id]
		lb := kmsg.NewUpdateMetadataRequestLiveBroker()
		lb.ID, lb.Rack = id, broker.Rack
		for _, e := range broker.Endpoints {
			ep := kmsg.NewUpdateMetadataRequestLiveBrokerEndpoint()
			ep.Host, ep.Port, ep.ListenerName, ep.SecurityProtocol = e.Host, e.Port, e.Listener, securityProtocols[e.Protocol]
			lb.Endpoints = append(lb.Endpoints, ep)
		}
		brokers = append(brokers, lb)
	}
	return brokers
}

func (b *batch) stopReplicaRequest(sender origin, to zk.Broker) *kmsg.StopReplicaRequest {
	r := kmsg.NewStopReplicaRequest()
	r.Version = sender.protocol.StopReplica
	r.ControllerID, r.ControllerEpoch, r.BrokerEpoch = sender.id, sender.epoch, to.Epoch
	eachTopic(b.cluster, b.stop[to.ID], func(t *topic, ps []*partition) {
		ts := kmsg.NewStopReplicaRequestTopic()
		ts.Topic = t.name
		for _, p := range ps {
			s := kmsg.NewStopReplicaRequestTopicPartitionState()
			s.Partition, s.Delete, s.LeaderEpoch = p.tp.Partition, b.stop[to.ID][p], noEpoch
			if b.cluster.inDeletion(t.name) {
				s.LeaderEpoch = epochDuringDelete
			} else if p.leadership != nil {
				s.LeaderEpoch = p.leadership.LeaderEpoch
			}
			ts.PartitionStates = append(ts.PartitionStates, s)
		}
		r.Topics = append(r.Topics, ts)
	})
	return &r
}

// eachTopic calls f for each topic of the set, in order, with its partitions in order.
func eachTopic(c *cluster, set map[*partition]bool, f func(t *topic, ps []*partition)) {
	ps := slices.SortedFunc(maps.Keys(set), func(a, b *partition) int { return compareTP(a.tp, b.tp) })
	for len(ps) > 0 {
		n := 1
		for n < len(ps) && ps[n].tp.Topic == ps[0].tp.Topic {
			n++
		}
		if t := c.topics[ps[0].tp.Topic]; t != nil {
			f(t, ps[:n])
		}
		ps = ps[n:]
	}
}
