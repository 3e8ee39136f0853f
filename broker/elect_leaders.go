package broker

import (
	"context"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"gregor/protocol"
)

// ElectLeaders (43), versions 0-2: the active controller elects preferred leaders (KIP-183) or, on demand, unclean ones (KIP-460). The answer waits until this
// broker's image shows the new leaders.
//
// Differences from Apache: a partition that never had a leader is answered PREFERRED_LEADER_NOT_AVAILABLE or ELIGIBLE_LEADERS_NOT_AVAILABLE, where Apache never
// answers the request; an election for all partitions lists such partitions too. Error messages are worded differently.

func init() { handle(electLeaders) }

// electionPreferred is the election type of KIP-183; the other one is unclean (1).
const electionPreferred int8 = 0

func electLeaders(b *Broker, rq *request, r *kmsg.ElectLeadersRequest) (kmsg.Response, error) {
	if r.Topics == nil && !b.controller.Active() {
		r.Topics = b.everyPartition() // each of them is refused
	}
	resp := b.controller.ElectLeaders(rq.ctx, r)
	ctx, cancel := context.WithTimeout(rq.ctx, time.Duration(max(r.TimeoutMillis, 0))*time.Millisecond)
	defer cancel()
	for i := range resp.Topics {
		t := &resp.Topics[i]
		for j := range t.Partitions {
			p := &t.Partitions[j]
			tp := protocol.TopicPartition{Topic: t.Topic, Partition: p.Partition}
			elected := func() bool { return b.metadata.led(tp, r.ElectionType == electionPreferred) }
			if p.ErrorCode == int16(protocol.None) && !b.metadata.Await(ctx, elected) {
				p.ErrorCode = int16(protocol.RequestTimedOut)
			}
		}
	}
	return resp, nil
}

// everyPartition lists the partitions that this broker knows of.
func (b *Broker) everyPartition() []kmsg.ElectLeadersRequestTopic {
	image := b.metadata.image.Load()
	all := []kmsg.ElectLeadersRequestTopic{}
	image.topics.each(func(name string, t *topicImage) {
		asked := kmsg.NewElectLeadersRequestTopic()
		asked.Topic = name
		for _, p := range t.partitions {
			asked.Partitions = append(asked.Partitions, p.partition)
		}
		all = append(all, asked)
	})
	return all
}

// led reports whether a partition has a leader or, with preferred, whether the first of its replicas leads.
func (c *MetadataCache) led(tp protocol.TopicPartition, preferred bool) bool {
	p, ok := c.partition(tp)
	if !ok || p.leader == noLeader {
		return false
	}
	return !preferred || len(p.replicas) > 0 && p.replicas[0] == p.leader
}
