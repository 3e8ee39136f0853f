package replication

import (
	"slices"
	"testing"

	"github.com/twmb/franz-go/pkg/kmsg"

	"gregor/protocol"
)

// The wire request: broker epochs from version 3 on, and names when a topic has no id.
func TestAlterPartitionRequest(t *testing.T) {
	l := newLeading(t, 1, 1, 2)
	l.lives[3] = -1 // fetches below v15
	l.mustFetch(3, 0)
	pr := l.proposed("broker 3 has everything", 1, 2, 3)
	for _, version := range []int16{0, 2, 3} {
		r := AlterPartitionRequest(version, me, 70, []*ISRProposal{pr})
		part := r.Topics[0].Partitions[0]
		if r.Version != version || r.BrokerID != me || r.BrokerEpoch != 70 || r.Topics[0].Topic != "t" || r.Topics[0].TopicID != idA || part.LeaderRecoveryState != 0 {
			t.Errorf("version %d: %+v", version, r)
		}
		if plain := slices.Equal(part.NewISR, []int32{1, 2, 3}); plain != (version < 3) {
			t.Errorf("version %d: ISR %v", version, part.NewISR)
		}
		var epochs []int64
		for _, e := range part.NewEpochISR {
			epochs = append(epochs, e.BrokerEpoch)
		}
		if version == 3 && !slices.Equal(epochs, []int64{brokerEpoch, -1, -1}) {
			t.Errorf("broker epochs %v", epochs)
		}
	}
	other := newReplica(t, 1, 1)
	other.leaderAndISR(1, -1, noID, partitionState{leader: me, isr: []int32{1}, replicas: []int32{1, 2}, isNew: true})
	p, _ := other.Partition(tp0)
	nameless := &ISRProposal{Partition: p, ISR: []ISRMember{{1, 1}}}
	if r := AlterPartitionRequest(3, me, 70, []*ISRProposal{pr, nameless}); r.Version != 1 || len(r.Topics) != 1 || !slices.Equal(r.Topics[0].Partitions[1].NewISR, []int32{1}) {
		t.Errorf("without a topic id: %+v", r)
	}
}

// The wire answer: found by topic id or name; what has no answer, or one for the whole request, is sent again.
func TestApplyAlterPartition(t *testing.T) {
	answer := func(version int16, topic string, id protocol.TopicID, partition int32, code protocol.ErrorCode) *kmsg.AlterPartitionResponse {
		resp := kmsg.NewPtrAlterPartitionResponse()
		resp.Version = version
		rt := kmsg.NewAlterPartitionResponseTopic()
		rt.Topic, rt.TopidID = topic, id
		rp := kmsg.NewAlterPartitionResponseTopicPartition()
		rp.Partition, rp.ErrorCode, rp.PartitionEpoch, rp.ISR = partition, int16(code), 1, []int32{1, 2, 3}
		rt.Partitions = append(rt.Partitions, rp)
		resp.Topics = append(resp.Topics, rt)
		return resp
	}
	whole := func(code protocol.ErrorCode) *kmsg.AlterPartitionResponse {
		resp := kmsg.NewPtrAlterPartitionResponse()
		resp.ErrorCode = int16(code)
		return resp
	}
	for _, tc := range []struct {
		name  string
		resp  *kmsg.AlterPartitionResponse
		again bool
		isr   []int32
	}{
		{"by id", answer(3, "", idA, 0, noCode), false, []int32{1, 2, 3}},
		{"by name", answer(1, "t", noID, 0, noCode), false, []int32{1, 2, 3}},
		{"of another topic id", answer(3, "", idB, 0, noCode), true, []int32{1, 2}},
		{"of another name", answer(1, "u", noID, 0, noCode), true, []int32{1, 2}},
		{"of another partition", answer(3, "", idA, 1, noCode), true, []int32{1, 2}},
		{"a partition's refusal", answer(3, "", idA, 0, protocol.IneligibleReplica), false, []int32{1, 2}},
		{"a partition's NOT_CONTROLLER", answer(3, "", idA, 0, protocol.NotController), true, []int32{1, 2}},
		{"not the controller", whole(protocol.NotController), true, []int32{1, 2}},
		{"a stale broker epoch", whole(protocol.StaleBrokerEpoch), true, []int32{1, 2}},
		{"empty", whole(noCode), true, []int32{1, 2}},
	} {
		l := newLeading(t, 1, 1, 2)
		l.mustFetch(3, 0)
		pr := l.proposed("broker 3 has everything", 1, 2, 3)
		again := l.ApplyAlterPartition([]*ISRProposal{pr}, tc.resp)
		if sent := len(again) == 1 && again[0] == pr; sent != tc.again {
			t.Errorf("%s: sent again: %v", tc.name, again)
		}
		l.wantISR(tc.name, tc.isr...)
		l.RequeueISRProposals(again)
		select {
		case <-l.ISRProposed():
		default:
			if tc.again {
				t.Errorf("%s: nobody is woken to send it", tc.name)
			}
		}
		if tc.again {
			l.proposed(tc.name, 1, 2, 3)
		} else {
			l.proposed(tc.name)
		}
	}
}
