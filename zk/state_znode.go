package zk

import (
	"fmt"
	"slices"

	"gregor/protocol"
)

// PartitionState is /brokers/topics/T/partitions/P/state.
type PartitionState struct {
	Leader          int32 // -1: none
	LeaderEpoch     int32
	ISR             []int32
	ControllerEpoch int32 // of the controller that wrote it
	Recovery        int8  // leader recovery state: 0 recovered, 1 recovering after an unclean election (KIP-704)
	Version         int32 // dataVersion of the znode, which is the partition epoch on the wire
	Modified        int64 // mzxid of the znode when it was read; 0 in a state that was made here
	// ISREpochs are the broker epochs of the ISR's members, in its order, as far as the controller that wrote the state knew them: which of their lives is in sync.
	// -1 stands for one that it did not know. Nil when the state does not say, as Apache Kafka's do not, nor those of one member.
	ISREpochs []int64
}

// SameLeaderAndISR compares what a leader may change: not the epochs of znode and controller.
func (s PartitionState) SameLeaderAndISR(o PartitionState) bool {
	return s.Leader == o.Leader && s.LeaderEpoch == o.LeaderEpoch && s.Recovery == o.Recovery && slices.Equal(s.ISR, o.ISR)
}

// UnknownLife stands in ISREpochs for a life that nobody knows.
const UnknownLife = -1

// LivesOf are the lives of an ISR that replaces the one of s, as far as s knows them. Nil when it knows none, and for a single member, which has what there is in
// whatever life.
func (s PartitionState) LivesOf(isr []int32) []int64 {
	if len(isr) < 2 || s.ISREpochs == nil {
		return nil
	}
	epochs, known := make([]int64, len(isr)), false
	for i, id := range isr {
		epochs[i] = UnknownLife
		if at := slices.Index(s.ISR, id); at >= 0 {
			epochs[i] = s.ISREpochs[at]
		}
		known = known || epochs[i] != UnknownLife
	}
	if !known {
		return nil
	}
	return epochs
}

type stateJSON struct {
	ControllerEpoch int32   `json:"controller_epoch"`
	Leader          int32   `json:"leader"`
	Version         int32   `json:"version"`
	LeaderEpoch     int32   `json:"leader_epoch"`
	ISR             []int32 `json:"isr"`
	Recovery        int8    `json:"leader_recovery_state,omitempty"`
	ISREpochs       []int64 `json:"isr_epochs,omitempty"` // gregor's own: Apache Kafka reads over it, and leaves it out when it writes the state
}

// EncodePartitionState writes version 1; leader_recovery_state only when it is not 0, isr_epochs only when there are some.
func EncodePartitionState(s PartitionState) []byte {
	isr := s.ISR
	if isr == nil {
		isr = []int32{}
	}
	return encodeJSON(stateJSON{Version: 1, Leader: s.Leader, LeaderEpoch: s.LeaderEpoch, ISR: isr,
		ControllerEpoch: s.ControllerEpoch, Recovery: s.Recovery, ISREpochs: s.ISREpochs})
}

// DecodePartitionState reads version 1. version is the dataVersion of the znode. Epochs that are not one for each member of the ISR say nothing.
func DecodePartitionState(tp protocol.TopicPartition, data []byte, version int32) (PartitionState, error) {
	path := PartitionStatePath(tp.Topic, tp.Partition)
	var j struct {
		stateJSON
		Leader      *int32 `json:"leader"`
		LeaderEpoch *int32 `json:"leader_epoch"`
	}
	if err := decodeJSON(path, data, &j); err != nil {
		return PartitionState{}, err
	}
	if j.Leader == nil || j.LeaderEpoch == nil {
		return PartitionState{}, fmt.Errorf("%s has no leader or no leader_epoch", path)
	}
	if j.Recovery != 0 && j.Recovery != 1 {
		return PartitionState{}, fmt.Errorf("%s: leader_recovery_state %d is neither 0 nor 1", path, j.Recovery)
	}
	if len(j.ISREpochs) != len(j.ISR) {
		j.ISREpochs = nil
	}
	return PartitionState{Leader: *j.Leader, LeaderEpoch: *j.LeaderEpoch, ISR: j.ISR,
		ControllerEpoch: j.ControllerEpoch, Recovery: j.Recovery, Version: version, ISREpochs: j.ISREpochs}, nil
}
