package chaos

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math"
	"net"
	"slices"
	"strconv"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"gregor/integration/chaos/history"
)

// dial gives up soon: what a fault has cut off does not refuse, it is silent.
func dial(ctx context.Context, network, addr string) (net.Conn, error) {
	dialer := net.Dialer{Timeout: 1500 * time.Millisecond}
	return dialer.DialContext(ctx, network, addr)
}

// create asks the controller for a topic with this assignment.
func (c *cluster) create(ctx context.Context, topic string, replicas [][]int32, configs map[string]*string) error {
	req := kmsg.NewPtrCreateTopicsRequest()
	req.TimeoutMillis = 10000
	rt := kmsg.NewCreateTopicsRequestTopic()
	rt.Topic, rt.NumPartitions, rt.ReplicationFactor = topic, -1, -1
	for p, ids := range replicas {
		ra := kmsg.NewCreateTopicsRequestTopicReplicaAssignment()
		ra.Partition, ra.Replicas = int32(p), ids
		rt.ReplicaAssignment = append(rt.ReplicaAssignment, ra)
	}
	for _, key := range slices.Sorted(maps.Keys(configs)) {
		rc := kmsg.NewCreateTopicsRequestTopicConfig()
		rc.Name, rc.Value = key, configs[key]
		rt.Configs = append(rt.Configs, rc)
	}
	req.Topics = append(req.Topics, rt)
	resp, err := req.RequestWith(ctx, c.client)
	if err != nil {
		return err
	}
	return kerr.ErrorForCode(resp.Topics[0].ErrorCode)
}

// watchStates records every change of the partitions' znodes that it sees, until the context ends.
func (r *round) watchStates(ctx context.Context) {
	last := map[int32]state{}
	lastEpoch := int32(-1)
	for ctx.Err() == nil {
		if epoch, err := r.tree.controllerEpoch(); err == nil && epoch != lastEpoch {
			lastEpoch = epoch
			r.rec.Add(history.Event{Kind: history.State, ControllerEpoch: epoch})
		}
		for p := range r.partitions {
			if s, err := r.tree.state(r.topic, p); err == nil {
				if old, seen := last[p]; !seen || old.Version != s.Version || !slices.Equal(old.Replicas, s.Replicas) {
					last[p] = s
					r.rec.Add(r.stateEvent(p, s))
				}
			}
		}
		sleep(ctx, 40*time.Millisecond)
	}
}

func (r *round) stateEvent(p int32, s state) history.Event {
	return history.Event{
		Kind: history.State, Topic: r.topic, Partition: p, Leader: s.Leader, Epoch: s.Epoch, ISR: s.ISR, Replicas: s.Replicas,
		Version: s.Version, ControllerEpoch: s.ControllerEpoch,
	}
}

// watchEnds records the high watermarks that leaders tell, until the context ends.
func (r *round) watchEnds(ctx context.Context) {
	for ctx.Err() == nil {
		from := r.rec.Now()
		attempt, cancel := context.WithTimeout(ctx, 3*time.Second)
		ends, err := r.admin.ListEndOffsets(attempt, r.topic)
		cancel()
		if err == nil {
			for p := range r.partitions {
				if end, ok := ends.Lookup(r.topic, p); ok && end.Err == nil {
					r.rec.Add(history.Event{Kind: history.End, From: from, Topic: r.topic, Partition: p, Offset: end.Offset, Epoch: end.LeaderEpoch})
				}
			}
		}
		sleep(ctx, 100*time.Millisecond)
	}
}

// watchCommits records what the group's coordinator says is committed, until the context ends. It asks the broker that leads the group's partition of
// __consumer_offsets by ZooKeeper, and takes its answer if it still does afterwards: a coordinator that does not know yet that it is one no more
// may tell what was committed in its time, in Kafka too.
func (r *round) watchCommits(ctx context.Context) {
	for ctx.Err() == nil {
		from := r.rec.Now()
		before, err := r.tree.state(offsetsTopic, groupPartition(r.group()))
		if err == nil && before.Leader >= 1 {
			committed, err := r.nodes[before.Leader-1].committed(ctx, r.group(), r.topic, r.partitions)
			after, err2 := r.tree.state(offsetsTopic, groupPartition(r.group()))
			if err == nil && err2 == nil && after.Epoch == before.Epoch {
				for p, offset := range committed {
					r.rec.Add(history.Event{Kind: history.Committed, From: from, Client: r.group(), Topic: r.topic, Partition: p, Offset: offset})
				}
			}
		}
		sleep(ctx, 200*time.Millisecond)
	}
}

// The topic of groups and offsets, and offsets.topic.num.partitions.
const (
	offsetsTopic      = "__consumer_offsets"
	offsetsPartitions = 2
)

// groupPartition is the partition of __consumer_offsets that a group belongs to: Java's hash code of its name.
func groupPartition(group string) int32 {
	var hash uint32
	for _, b := range []byte(group) {
		hash = 31*hash + uint32(b)
	}
	return int32(hash&math.MaxInt32) % offsetsPartitions
}

// committed asks this broker for a group's offsets; -1 where there is none.
func (n *node) committed(ctx context.Context, group, topic string, partitions int32) (map[int32]int64, error) {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	req := kmsg.NewPtrOffsetFetchRequest()
	rg := kmsg.NewOffsetFetchRequestGroup()
	rg.Group = group
	rt := kmsg.NewOffsetFetchRequestGroupTopic()
	rt.Topic = topic
	for p := range partitions {
		rt.Partitions = append(rt.Partitions, p)
	}
	rg.Topics = append(rg.Topics, rt)
	req.Groups = append(req.Groups, rg)
	resp, err := n.client.SeedBrokers()[0].Request(ctx, req)
	if err != nil {
		return nil, err
	}
	answer := resp.(*kmsg.OffsetFetchResponse).Groups[0]
	if answer.ErrorCode != 0 {
		return nil, kerr.ErrorForCode(answer.ErrorCode)
	}
	offsets := map[int32]int64{}
	for _, t := range answer.Topics {
		for _, p := range t.Partitions {
			if p.ErrorCode == 0 {
				offsets[p.Partition] = p.Offset
			}
		}
	}
	return offsets, nil
}

// sleep waits, or returns early when the context ends.
func sleep(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}

// metadata is everything that one broker says about topics; the map's key is topic-partition.
func (n *node) metadata(ctx context.Context) (brokers []int32, views map[string]kmsg.MetadataResponseTopicPartition, err error) {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	req := kmsg.NewPtrMetadataRequest()
	req.Topics = nil
	resp, err := n.client.SeedBrokers()[0].Request(ctx, req)
	if err != nil {
		return nil, nil, fmt.Errorf("%v: metadata: %w", n, err)
	}
	answer := resp.(*kmsg.MetadataResponse)
	for _, b := range answer.Brokers {
		brokers = append(brokers, b.NodeID)
	}
	slices.Sort(brokers)
	views = map[string]kmsg.MetadataResponseTopicPartition{}
	for _, topic := range answer.Topics {
		for _, p := range topic.Partitions {
			views[partitionName(*topic.Topic, p.Partition)] = p
		}
	}
	return brokers, views, nil
}

func partitionName(topic string, partition int32) string {
	return topic + "-" + strconv.Itoa(int(partition))
}

// converged says what is still wrong with a cluster to which nothing is done any more: every broker is registered, every partition has a leader and all
// its replicas in sync, and every broker knows it.
func (c *cluster) converged(ctx context.Context) error {
	var wanted []int32
	for _, n := range c.nodes {
		if n.wanted {
			wanted = append(wanted, n.id)
		}
	}
	if ids, err := c.tree.brokers(); err != nil || !slices.Equal(ids, wanted) {
		return fmt.Errorf("registered brokers %v, wanted %v: %v", ids, wanted, err)
	}
	if _, err := c.tree.controller(); err != nil {
		return err
	}
	truth, err := c.truth()
	if err != nil {
		return err
	}
	for name, s := range truth {
		if s.Leader < 0 || len(s.ISR) != len(s.Replicas) {
			return fmt.Errorf("%s: leader %d, ISR %v, replicas %v", name, s.Leader, s.ISR, s.Replicas)
		}
	}
	for _, n := range c.nodes {
		if n.wanted {
			if err := n.agrees(ctx, wanted, truth); err != nil {
				return err
			}
		}
	}
	return nil
}

// truth is the state of every partition of every topic that is not being deleted.
func (c *cluster) truth() (map[string]state, error) {
	topics, err := c.tree.topics()
	if err != nil {
		return nil, err
	}
	all := map[string]state{}
	for _, topic := range topics {
		if deleting, err := c.tree.exists("/admin/delete_topics/" + topic); err != nil {
			return nil, err
		} else if deleting {
			return nil, errors.New("the deletion of " + topic + " goes on")
		}
		assignment, err := c.tree.assignment(topic)
		if err != nil {
			return nil, err
		}
		for p := range assignment {
			number, err := strconv.Atoi(p)
			if err != nil {
				return nil, err
			}
			s, err := c.tree.state(topic, int32(number))
			if err != nil {
				return nil, err
			}
			all[partitionName(topic, int32(number))] = s
		}
	}
	return all, nil
}

func (n *node) agrees(ctx context.Context, brokers []int32, truth map[string]state) error {
	known, views, err := n.metadata(ctx)
	if err != nil {
		return err
	}
	if !slices.Equal(known, brokers) {
		return fmt.Errorf("%v knows the brokers %v, not %v", n, known, brokers)
	}
	if len(views) != len(truth) {
		return fmt.Errorf("%v knows %d partitions, not %d", n, len(views), len(truth))
	}
	for name, s := range truth {
		if v, ok := views[name]; !ok || v.Leader != s.Leader || v.LeaderEpoch != s.Epoch || len(v.ISR) != len(s.ISR) {
			return fmt.Errorf("%v says of %s: leader %d, epoch %d, ISR %v; ZooKeeper: %d, %d, %v", n, name, v.Leader, v.LeaderEpoch, v.ISR, s.Leader, s.Epoch, s.ISR)
		}
	}
	return nil
}
