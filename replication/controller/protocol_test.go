package controller

import (
	"fmt"
	"slices"
	"testing"

	"github.com/twmb/franz-go/pkg/kmsg"

	"gregor/protocol"
	"gregor/zk"
)

// twoBrokers is a cluster of brokers 1 and 2 with the topics a (two partitions) and b, each led by broker 1.
func twoBrokers() (*cluster, []*partition) {
	c := newCluster()
	for id := int32(1); id <= 2; id++ {
		c.brokers[id] = zk.Broker{ID: id, Epoch: int64(id), Endpoints: []zk.Endpoint{
			{Listener: "DATA", Protocol: "PLAINTEXT", Host: "h", Port: 10 + id}, {Listener: "CONTROL", Protocol: "PLAINTEXT", Host: "h", Port: 20 + id}}}
	}
	var ps []*partition
	for _, name := range []string{"a", "b"} {
		t := c.addTopic(name, protocol.TopicID{name[0]})
		for n := range int32(map[string]int{"a": 2, "b": 1}[name]) {
			p := c.addPartition(t, n, assignment{replicas: []int32{1, 2}})
			p.leadership = &zk.PartitionState{Leader: 1, LeaderEpoch: 3, ISR: []int32{1, 2}, Version: 7}
			ps = append(ps, p)
		}
	}
	return c, ps
}

// sent builds a batch of all three requests in the versions of a protocol, and reads each back from its bytes.
func sent(t *testing.T, p Protocol) (all []kmsg.Request) {
	t.Helper()
	c, ps := twoBrokers()
	b := newBatch(c)
	for i, one := range ps {
		b.addLeaderAndISR([]int32{2}, one, false)
		b.addStopReplica(2, one, i == 1)
	}
	for _, o := range b.build(origin{id: 1, epoch: 5, listener: "DATA", protocol: p}) {
		if o.broker != 2 {
			continue
		}
		again := kmsg.RequestForKey(o.request.Key())
		again.SetVersion(o.request.GetVersion())
		if err := again.ReadFrom(o.request.AppendTo(nil)); err != nil {
			t.Fatalf("%T v%d: %v", o.request, o.request.GetVersion(), err)
		}
		all = append(all, again)
	}
	return all
}

// TestRequestVersions reads what brokers of older releases are told: the same partitions, in the form of their versions.
func TestRequestVersions(t *testing.T) {
	for _, p := range []Protocol{
		{LeaderAndISR: 0, UpdateMetadata: 3, StopReplica: 0}, {LeaderAndISR: 1, UpdateMetadata: 4, StopReplica: 1}, {LeaderAndISR: 2, UpdateMetadata: 5, StopReplica: 1},
		{LeaderAndISR: 4, UpdateMetadata: 6, StopReplica: 2}, {LeaderAndISR: 5, UpdateMetadata: 7, StopReplica: 3}, Current,
	} {
		t.Run(fmt.Sprint(p.LeaderAndISR, p.UpdateMetadata, p.StopReplica), func(t *testing.T) {
			led, known, stopped, deleted := []string{}, []string{}, []string{}, []string{}
			for _, r := range sent(t, p) {
				switch r := r.(type) {
				case *kmsg.LeaderAndISRRequest:
					for _, s := range r.PartitionStates {
						led = append(led, fmt.Sprint(s.Topic, s.Partition))
					}
					for _, ts := range r.TopicStates {
						for _, s := range ts.PartitionStates {
							led = append(led, fmt.Sprint(ts.Topic, s.Partition))
						}
					}
					if len(r.LiveLeaders) != 1 || r.LiveLeaders[0].Port != 11 {
						t.Errorf("the leaders are %v, want broker 1 on the listener of followers", r.LiveLeaders)
					}
				case *kmsg.UpdateMetadataRequest:
					for _, s := range r.PartitionStates {
						known = append(known, fmt.Sprint(s.Topic, s.Partition))
					}
					for _, ts := range r.TopicStates {
						for _, s := range ts.PartitionStates {
							known = append(known, fmt.Sprint(ts.Topic, s.Partition))
						}
					}
					if len(r.LiveBrokers) != 2 || len(r.LiveBrokers[0].Endpoints) != 2 {
						t.Errorf("the brokers are %v", r.LiveBrokers)
					}
				case *kmsg.StopReplicaRequest:
					keep, del := readStopReplica(r)
					stopped, deleted = append(stopped, keep...), append(deleted, del...)
				}
			}
			all := []string{"a0", "a1", "b0"}
			if !slices.Equal(led, all) || !slices.Equal(known, all) || !slices.Equal(stopped, []string{"a0", "b0"}) || !slices.Equal(deleted, []string{"a1"}) {
				t.Errorf("led %v, known %v, stopped %v, deleted %v", led, known, stopped, deleted)
			}
		})
	}
}

// readStopReplica lists the partitions of a request of any version.
func readStopReplica(r *kmsg.StopReplicaRequest) (keep, del []string) {
	add := func(topic string, partition int32, deleted bool) {
		name := fmt.Sprint(topic, partition)
		if deleted {
			del = append(del, name)
		} else {
			keep = append(keep, name)
		}
	}
	for _, ts := range r.Topics {
		if r.Version == 0 {
			add(ts.Topic, ts.Partition, r.DeletePartitions)
		}
		for _, n := range ts.Partitions {
			add(ts.Topic, n, r.DeletePartitions)
		}
		for _, s := range ts.PartitionStates {
			add(ts.Topic, s.Partition, s.Delete)
		}
	}
	return keep, del
}
