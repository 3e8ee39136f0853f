package controller

import (
	"context"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"gregor/protocol"
)

// Election types of ElectLeaders (KIP-460).
const (
	electionPreferred = 0
	electionUnclean   = 1
)

// ElectLeaders answers ElectLeaders (43) as soon as the elections are written. A broker that wants to answer only when
// its own metadata shows the new leaders waits after this.
func (c *Controller) ElectLeaders(ctx context.Context, r *kmsg.ElectLeadersRequest) *kmsg.ElectLeadersResponse {
	resp := r.ResponseKind().(*kmsg.ElectLeadersResponse)
	kind := r.ElectionType
	if r.Version == 0 {
		kind = electionPreferred
	}
	if kind != electionPreferred && kind != electionUnclean {
		resp.ErrorCode = int16(protocol.UnknownServerError)
		return refuseElections(r, resp, protocol.UnknownServerError)
	}
	results, ok := call(ctx, c, func() ([]electionResult, error) {
		if !c.elected {
			return nil, nil
		}
		if r.Topics == nil {
			all := c.cluster.partitionsWhere(func(p *partition) bool { return p.leadership != nil && !c.cluster.toBeDeleted[p.tp.Topic] })
			tps := make([]protocol.TopicPartition, len(all))
			for i, p := range all {
				tps[i] = p.tp
			}
			return c.electLeaders(tps, kind)
		}
		return c.electLeaders(requested(r), kind)
	})
	if !ok || results == nil {
		return refuseElections(r, resp, protocol.NotController)
	}
	for _, res := range results {
		if r.Topics == nil && res.refusal != nil && res.code == protocol.ElectionNotNeeded {
			continue // asked for all: those that are right already are not worth a word
		}
		appendElection(resp, res)
	}
	return resp
}

type electionResult struct {
	tp protocol.TopicPartition
	*refusal
}

func requested(r *kmsg.ElectLeadersRequest) []protocol.TopicPartition {
	var tps []protocol.TopicPartition
	for _, t := range r.Topics {
		for _, n := range t.Partitions {
			tps = append(tps, protocol.TopicPartition{Topic: t.Topic, Partition: n})
		}
	}
	return tps
}

// refuseElections answers every partition that was named with code.
func refuseElections(r *kmsg.ElectLeadersRequest, resp *kmsg.ElectLeadersResponse, code protocol.ErrorCode) *kmsg.ElectLeadersResponse {
	for _, t := range r.Topics {
		rt := kmsg.NewElectLeadersResponseTopic()
		rt.Topic = t.Topic
		for _, index := range t.Partitions {
			p := kmsg.NewElectLeadersResponseTopicPartition()
			p.Partition, p.ErrorCode = index, int16(code)
			rt.Partitions = append(rt.Partitions, p)
		}
		resp.Topics = append(resp.Topics, rt)
	}
	return resp
}

func appendElection(resp *kmsg.ElectLeadersResponse, res electionResult) {
	if n := len(resp.Topics); n == 0 || resp.Topics[n-1].Topic != res.tp.Topic {
		t := kmsg.NewElectLeadersResponseTopic()
		t.Topic = res.tp.Topic
		resp.Topics = append(resp.Topics, t)
	}
	p := kmsg.NewElectLeadersResponseTopicPartition()
	p.Partition = res.tp.Partition
	if res.refusal != nil {
		p.ErrorCode = int16(res.code)
		if res.message != "" {
			p.ErrorMessage = kmsg.StringPtr(res.message)
		}
	}
	last := &resp.Topics[len(resp.Topics)-1]
	last.Partitions = append(last.Partitions, p)
}

// electLeaders elects where the leader is not the wanted one, and says per partition what came of it. The answer is
// never nil.
func (c *Controller) electLeaders(tps []protocol.TopicPartition, kind int8) ([]electionResult, error) {
	results := make([]electionResult, 0, len(tps))
	var electable []*partition
	for _, tp := range tps {
		p := c.cluster.partition(tp)
		switch {
		case p == nil:
			results = append(results, electionResult{tp, &refusal{protocol.UnknownTopicOrPartition, "The partition does not exist."}})
		case c.cluster.toBeDeleted[tp.Topic]:
			results = append(results, electionResult{tp, &refusal{protocol.InvalidTopicException, "The topic is being deleted"}})
		case !c.needsElection(p, kind):
			results = append(results, electionResult{tp, &refusal{protocol.ElectionNotNeeded, "Leader election not needed for topic partition."}})
		default:
			electable = append(electable, p)
			results = append(results, electionResult{tp: tp})
		}
	}
	choose, code := strategy(electPreferred), protocol.PreferredLeaderNotAvailable
	if kind == electionUnclean {
		choose, code = electOffline(func(string) bool { return true }), protocol.EligibleLeadersNotAvailable
	}
	failed, err := c.movePartitions(electable, onlinePartition, choose)
	if err != nil {
		return nil, err
	}
	for i, res := range results {
		if err := failed[c.cluster.partition(res.tp)]; res.refusal == nil && err != nil {
			results[i].refusal = &refusal{code, fmt.Sprintf("Failed to elect leader for partition %s: %v", res.tp, err)}
		}
	}
	return results, nil
}

// needsElection: the leader is not the preferred one, or, for an unclean election, there is no live leader.
func (c *Controller) needsElection(p *partition, kind int8) bool {
	leader := int32(noLeader)
	if p.leadership != nil {
		leader = p.leadership.Leader
	}
	if kind == electionUnclean {
		return leader == noLeader || !c.cluster.isLive(leader)
	}
	return len(p.assignment.replicas) == 0 || leader != p.assignment.replicas[0]
}

// preferredElectionRequested: a tool wrote /admin/preferred_replica_election.
type preferredElectionRequested struct{}

func (preferredElectionRequested) process(c *Controller) error {
	if !c.elected {
		return nil
	}
	tps, ok, err := c.zk.PreferredReplicaElection()
	if !ok {
		return err
	}
	if err != nil {
		c.warn("Ignoring a preferred replica election that cannot be read: %v", err)
		if err := transient(err); err != nil {
			return err
		}
	}
	c.info("Starting replica leader election (PREFERRED) for %d partitions triggered by ZkTriggered", len(tps))
	if _, err := c.electLeaders(tps, electionPreferred); err != nil {
		return err
	}
	return c.zk.DeletePreferredReplicaElection(c.fence)
}

// firstRebalance is when the first check for imbalance comes after an election.
const firstRebalance = 5 * time.Second

// autoRebalance: time to look for brokers that lead too little of what they should.
type autoRebalance struct{}

func (autoRebalance) process(c *Controller) error {
	if !c.elected {
		return nil
	}
	var moving []*partition
	for id, ps := range c.preferredBy() {
		var misled []*partition
		for _, p := range ps {
			if p.leadership != nil && p.leadership.Leader != id {
				misled = append(misled, p)
			}
		}
		if len(misled)*100 <= len(ps)*c.config.ImbalancePercent {
			continue
		}
		for _, p := range misled {
			if _, ok := electPreferred(c.cluster, p); ok && len(c.cluster.reassigning) == 0 {
				moving = append(moving, p)
			}
		}
	}
	if len(moving) == 0 {
		return nil
	}
	c.info("Starting replica leader election (PREFERRED) for %d partitions triggered by AutoTriggered", len(moving))
	_, err := c.movePartitions(moving, onlinePartition, electPreferred)
	return err
}

// preferredBy groups partitions by the broker that is their preferred leader, topics in deletion left out.
func (c *Controller) preferredBy() map[int32][]*partition {
	by := map[int32][]*partition{}
	for _, p := range c.cluster.partitionsWhere(func(p *partition) bool {
		return len(p.assignment.replicas) > 0 && !c.cluster.toBeDeleted[p.tp.Topic]
	}) {
		by[p.assignment.replicas[0]] = append(by[p.assignment.replicas[0]], p)
	}
	return by
}
