package harness

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// PartitionState is /brokers/topics/T/partitions/P/state.
type PartitionState struct {
	Leader          int32   `json:"leader"` // -1 none
	LeaderEpoch     int32   `json:"leader_epoch"`
	ISR             []int32 `json:"isr"`
	ControllerEpoch int32   `json:"controller_epoch"`
	Recovery        int8    `json:"leader_recovery_state"` // 1 after an unclean election
	PartitionEpoch  int32   `json:"-"`                     // the znode's version
}

// TopicState is /brokers/topics/T.
type TopicState struct {
	ID         string             `json:"topic_id"`
	Partitions map[string][]int32 `json:"partitions"`
	Adding     map[string][]int32 `json:"adding_replicas"`
	Removing   map[string][]int32 `json:"removing_replicas"`
}

// Controller is the id in /controller, -1 when there is none.
func (c *Cluster) Controller() int32 {
	c.t.Helper()
	var v struct {
		ID int32 `json:"brokerid"`
	}
	if !c.Tree.read("/controller", &v, nil) {
		return -1
	}
	return v.ID
}

// AwaitController waits until there is a controller that is none of those, and returns it.
func (c *Cluster) AwaitController(not ...int32) int32 {
	c.t.Helper()
	id := int32(-1)
	Eventually(c.t, time.Minute, func() error {
		if id = c.Controller(); id < 0 || slices.Contains(not, id) {
			return fmt.Errorf("the controller is %d", id)
		}
		return nil
	})
	return id
}

// State reads a partition's state; ok is false while there is none.
func (c *Cluster) State(topic string, partition int32) (s PartitionState, ok bool) {
	c.t.Helper()
	ok = c.Tree.read(fmt.Sprintf("/brokers/topics/%s/partitions/%d/state", topic, partition), &s, &s.PartitionEpoch)
	return s, ok
}

// Topic reads a topic's assignment; ok is false while there is none.
func (c *Cluster) Topic(topic string) (s TopicState, ok bool) {
	c.t.Helper()
	ok = c.Tree.read("/brokers/topics/"+topic, &s, nil)
	return s, ok
}

// AwaitState waits until a partition's state satisfies want, which says what is missing, and returns it.
func (c *Cluster) AwaitState(topic string, partition int32, want func(PartitionState) error) PartitionState {
	c.t.Helper()
	var last PartitionState
	Eventually(c.t, 90*time.Second, func() error {
		s, ok := c.State(topic, partition)
		if !ok {
			return fmt.Errorf("%s-%d has no state", topic, partition)
		}
		last = s
		if err := want(s); err != nil {
			return fmt.Errorf("%s-%d: %w (%+v)", topic, partition, err, s)
		}
		return nil
	})
	return last
}

// AwaitLeader waits until a broker leads a partition.
func (c *Cluster) AwaitLeader(topic string, partition, leader int32) PartitionState {
	c.t.Helper()
	return c.AwaitState(topic, partition, func(s PartitionState) error {
		if s.Leader != leader {
			return fmt.Errorf("its leader is not %d", leader)
		}
		return nil
	})
}

// AwaitISR waits until exactly these replicas, in any order, are in sync.
func (c *Cluster) AwaitISR(topic string, partition int32, isr ...int32) PartitionState {
	c.t.Helper()
	slices.Sort(isr)
	return c.AwaitState(topic, partition, func(s PartitionState) error {
		if !slices.Equal(slices.Sorted(slices.Values(s.ISR)), isr) {
			return fmt.Errorf("in sync are not %v", isr)
		}
		return nil
	})
}

// AwaitFullISR waits until every replica of every partition of these topics, or of all topics, is in sync.
func (c *Cluster) AwaitFullISR(topics ...string) {
	c.t.Helper()
	Eventually(c.t, 2*time.Minute, func() error {
		names := topics
		if len(names) == 0 {
			names = c.Tree.Children("/brokers/topics")
		}
		for _, name := range names {
			topic, ok := c.Topic(name)
			if !ok {
				return fmt.Errorf("there is no topic %s", name)
			}
			for p, replicas := range topic.Partitions {
				n, err := strconv.ParseInt(p, 10, 32)
				if err != nil {
					return err
				}
				s, _ := c.State(name, int32(n))
				if len(s.ISR) != len(replicas) || s.Leader < 0 {
					return fmt.Errorf("%s-%s: replicas %v, %+v", name, p, replicas, s)
				}
			}
		}
		return nil
	})
}

// AwaitAgreement waits until every running broker answers Metadata with what ZooKeeper says: the brokers that are registered, and for each partition its
// leader, leader epoch, replicas and ISR.
func (c *Cluster) AwaitAgreement() {
	c.t.Helper()
	clients := map[int32]*kgo.Client{}
	for _, b := range c.Running() {
		clients[b.ID()] = b.Client()
		defer clients[b.ID()].Close()
	}
	Eventually(c.t, time.Minute, func() error {
		want := c.inZooKeeper()
		for id, client := range clients {
			got, err := c.Broker(id).metadata(client)
			if err != nil {
				return fmt.Errorf("broker %d: %w", id, err)
			}
			for _, key := range slices.Sorted(maps.Keys(want)) {
				if got[key] != want[key] {
					return fmt.Errorf("broker %d says %s: %q, ZooKeeper %q", id, key, got[key], want[key])
				}
				delete(got, key)
			}
			for key, value := range got {
				return fmt.Errorf("broker %d says %s: %q, ZooKeeper nothing", id, key, value)
			}
		}
		return nil
	})
}

// inZooKeeper is what Metadata should say, in words.
func (c *Cluster) inZooKeeper() map[string]string {
	brokers := c.Tree.Children("/brokers/ids")
	slices.Sort(brokers)
	out := map[string]string{"brokers": fmt.Sprint(brokers)}
	for _, name := range c.Tree.Children("/brokers/topics") {
		topic, _ := c.Topic(name)
		for p, replicas := range topic.Partitions {
			n, _ := strconv.ParseInt(p, 10, 32)
			s, _ := c.State(name, int32(n))
			out[name+"-"+p] = inWords(s.Leader, s.LeaderEpoch, replicas, s.ISR)
		}
	}
	return out
}

func inWords(leader, epoch int32, replicas, isr []int32) string {
	return fmt.Sprintf("leader %d epoch %d replicas %v isr %v", leader, epoch, replicas, slices.Sorted(slices.Values(isr)))
}

// metadata is what this one broker says of the cluster, in words.
func (b *Broker) metadata(client *kgo.Client) (map[string]string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	req := kmsg.NewPtrMetadataRequest()
	req.Topics = nil
	answer, err := client.SeedBrokers()[0].Request(ctx, req)
	if err != nil {
		return nil, err
	}
	resp := answer.(*kmsg.MetadataResponse)
	var ids []string
	for _, node := range resp.Brokers {
		ids = append(ids, strconv.Itoa(int(node.NodeID)))
	}
	slices.Sort(ids)
	out := map[string]string{"brokers": fmt.Sprint(ids)}
	for _, t := range resp.Topics {
		for _, p := range t.Partitions {
			out[fmt.Sprintf("%s-%d", *t.Topic, p.Partition)] = inWords(p.Leader, p.LeaderEpoch, p.Replicas, p.ISR)
		}
	}
	return out, nil
}

// read decodes a znode; false when there is none.
func (tree *Tree) read(path string, into any, version *int32) bool {
	tree.t.Helper()
	data, stat, err := tree.get(path)
	if errors.Is(err, errNoNode) {
		return false
	}
	if err != nil {
		tree.t.Fatalf("znode %s: %v", path, err)
	}
	if err := json.Unmarshal(data, into); err != nil {
		tree.t.Fatalf("znode %s: %v: %s", path, err, data)
	}
	if version != nil {
		*version = stat.Version
	}
	return true
}
