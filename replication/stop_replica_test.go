package replication

import (
	"slices"
	"testing"

	"github.com/twmb/franz-go/pkg/kmsg"

	"gregor/protocol"
	"gregor/storage"
)

func stopRequest(controllerEpoch int32, epoch int64, leaderEpoch int32, del bool) *kmsg.StopReplicaRequest {
	req := kmsg.NewPtrStopReplicaRequest()
	req.Version, req.ControllerEpoch, req.BrokerEpoch = 4, controllerEpoch, epoch
	topic := kmsg.NewStopReplicaRequestTopic()
	topic.Topic = tp0.Topic
	topic.PartitionStates = []kmsg.StopReplicaRequestTopicPartitionState{{Partition: 0, LeaderEpoch: leaderEpoch, Delete: del}}
	req.Topics = append(req.Topics, topic)
	return req
}

func TestStopReplicaRules(t *testing.T) {
	for _, tc := range []struct {
		name            string
		controllerEpoch int32
		brokerEpoch     int64
		leaderEpoch     int32
		del             bool
		whole, code     protocol.ErrorCode
		stays, logStays bool
		moves           []string
	}{
		{"stop", 3, -1, 5, false, noCode, noCode, false, true, []string{"-t-0@5"}},
		{"stop, newer epoch", 3, brokerEpoch, 6, false, noCode, noCode, false, true, []string{"-t-0@5"}},
		{"stop, no epoch known", 3, -1, noEpoch, false, noCode, noCode, false, true, []string{"-t-0@5"}},
		{"delete", 3, -1, 5, true, noCode, noCode, false, false, []string{"-t-0@-1"}},
		{"delete with the topic", 3, -1, epochDuringDelete, true, noCode, noCode, false, false, []string{"-t-0@-1"}},
		{"older leader epoch", 3, -1, 4, true, noCode, protocol.FencedLeaderEpoch, true, true, nil},
		{"older controller", 2, -1, 5, true, protocol.StaleControllerEpoch, noCode, true, true, nil},
		{"earlier life of the broker", 3, brokerEpoch - 1, 5, true, protocol.StaleBrokerEpoch, noCode, true, true, nil},
	} {
		t.Run(tc.name, func(t *testing.T) {
			r := newReplica(t, 1, 1)
			if code, codes := r.leaderAndISR(3, -1, idA, partitionState{leader: me, epoch: 5, isr: []int32{1}, replicas: []int32{1}, isNew: true}); code != noCode || codes[0] != noCode {
				t.Fatal(code, codes)
			}
			p, _ := r.Partition(tp0)
			mustAppend(t, p, 1, 1)
			r.told()
			resp := r.StopReplica(stopRequest(tc.controllerEpoch, tc.brokerEpoch, tc.leaderEpoch, tc.del))
			if got := protocol.ErrorCode(resp.ErrorCode); got != tc.whole {
				t.Fatalf("answered %v, want %v", got, tc.whole)
			}
			if tc.whole != noCode {
				if len(resp.Partitions) != 0 {
					t.Errorf("a refused request answers partitions %v", resp.Partitions)
				}
			} else if len(resp.Partitions) != 1 || resp.Partitions[0].Topic != "t" || protocol.ErrorCode(resp.Partitions[0].ErrorCode) != tc.code {
				t.Errorf("answered %+v, want %v", resp.Partitions, tc.code)
			}
			if _, code := r.Partition(tp0); (code == noCode) != tc.stays {
				t.Errorf("the partition afterwards: %v", code)
			}
			if log := r.Manager.cfg.Logs.Get(tp0); (log != nil) != tc.logStays {
				t.Errorf("the log afterwards: %v", log)
			}
			if moves := r.told(); !slices.Equal(moves, tc.moves) {
				t.Errorf("told %v, want %v", moves, tc.moves)
			}
			want := protocol.NotLeaderOrFollower
			if tc.stays {
				want = noCode
			}
			var out storage.AppendResult
			if got := codeOf(t, p.Append(batch(1), 1, storage.FromClient, &out)); got != want {
				t.Errorf("who still holds the partition appends with %v, want %v", got, want)
			}
		})
	}
}

// A log that no partition uses yet, as after a start, goes when a delete names it; without delete there is nothing to do.
func TestStopReplicaOfALogWithoutPartition(t *testing.T) {
	r := newReplica(t, 1, 1)
	r.lead(0, 1)
	r.restart()
	for _, del := range []bool{false, true} {
		resp := r.StopReplica(stopRequest(1, -1, epochDuringDelete, del))
		if resp.ErrorCode != 0 || resp.Partitions[0].ErrorCode != 0 {
			t.Fatalf("delete %v: %+v", del, resp)
		}
		if log := r.Manager.cfg.Logs.Get(tp0); (log == nil) != del {
			t.Fatalf("delete %v: log %v", del, log)
		}
	}
	r.restart()
	if log := r.Manager.cfg.Logs.Get(tp0); log != nil {
		t.Fatal("the deleted log is back after a restart")
	}
}

// A topic that is made anew under its name starts empty, with its own id and epochs from 0.
func TestTopicMadeAnew(t *testing.T) {
	r := newReplica(t, 1, 1)
	mustAppend(t, r.lead(8, 1), 5, 1)
	r.StopReplica(stopRequest(1, -1, epochDuringDelete, true))
	code, codes := r.leaderAndISR(1, -1, idB, partitionState{leader: me, epoch: 0, isr: []int32{1}, replicas: []int32{1}, isNew: true})
	if code != noCode || codes[0] != noCode {
		t.Fatal(code, codes)
	}
	p, _ := r.Partition(tp0)
	if p.TopicID() != idB || p.Log().LogEndOffset() != 0 || p.LeaderEpoch() != 0 {
		t.Fatalf("id %v, end %d, epoch %d", p.TopicID(), p.Log().LogEndOffset(), p.LeaderEpoch())
	}
}

// The forms of older versions: one flag for all partitions, no leader epochs.
func TestStopReplicaOldVersions(t *testing.T) {
	for _, version := range []int16{0, 1, 2} {
		for _, del := range []bool{false, true} {
			r := newReplica(t, 1, 1)
			r.lead(5, 1)
			req := kmsg.NewPtrStopReplicaRequest()
			req.Version, req.ControllerEpoch, req.BrokerEpoch, req.DeletePartitions = version, 1, -1, del
			topic := kmsg.NewStopReplicaRequestTopic()
			topic.Topic, topic.Partition, topic.Partitions = "t", 0, []int32{0}
			req.Topics = append(req.Topics, topic)
			resp := r.StopReplica(req)
			if resp.ErrorCode != 0 || len(resp.Partitions) != 1 || resp.Partitions[0].ErrorCode != 0 {
				t.Errorf("version %d: %+v", version, resp)
			}
			if log := r.Manager.cfg.Logs.Get(tp0); (log == nil) != del {
				t.Errorf("version %d, delete %v: log %v", version, del, log)
			}
		}
	}
}
