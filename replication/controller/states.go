package controller

import (
	"slices"
	"strings"

	"gregor/protocol"
)

// partitionState is where a partition stands (kafka.controller.PartitionState).
type partitionState int8

const (
	nonExistentPartition partitionState = iota
	newPartition                        // has an assignment, no leader yet
	onlinePartition                     // has a leader
	offlinePartition                    // had one
)

func (s partitionState) String() string {
	return [...]string{"NonExistentPartition", "NewPartition", "OnlinePartition", "OfflinePartition"}[s]
}

// partitionFrom lists the states from which a state may be reached.
var partitionFrom = map[partitionState][]partitionState{
	newPartition:         {nonExistentPartition},
	onlinePartition:      {newPartition, onlinePartition, offlinePartition},
	offlinePartition:     {newPartition, onlinePartition, offlinePartition},
	nonExistentPartition: {offlinePartition},
}

// replicaState is where a replica stands (kafka.controller.ReplicaState).
type replicaState int8

const (
	nonExistentReplica replicaState = iota
	newReplica
	onlineReplica
	offlineReplica
	deletionStarted    // StopReplica with delete was sent
	deletionSuccessful // and answered
	deletionIneligible // cannot be deleted now: its broker is dead or answered an error
)

func (s replicaState) String() string {
	return [...]string{"NonExistentReplica", "NewReplica", "OnlineReplica", "OfflineReplica",
		"ReplicaDeletionStarted", "ReplicaDeletionSuccessful", "ReplicaDeletionIneligible"}[s]
}

// replicaStates are the states of a partition's replicas: a few brokers, kept in a list because there may be very many partitions.
type replicaStates []brokerReplica

type brokerReplica struct {
	broker int32
	state  replicaState
}

// of is the state of a broker's replica.
func (s replicaStates) of(broker int32) replicaState {
	for _, r := range s {
		if r.broker == broker {
			return r.state
		}
	}
	return nonExistentReplica
}

// set changes the state of a broker's replica; nonExistentReplica forgets it.
func (s *replicaStates) set(broker int32, state replicaState) {
	i := 0
	for i < len(*s) && (*s)[i].broker != broker {
		i++
	}
	switch {
	case state == nonExistentReplica && i < len(*s):
		*s = slices.Delete(*s, i, i+1)
	case state == nonExistentReplica:
	case i < len(*s):
		(*s)[i].state = state
	default:
		*s = append(*s, brokerReplica{broker, state})
	}
}

// replicaFrom lists the states from which a state may be reached.
var replicaFrom = map[replicaState][]replicaState{
	newReplica:         {nonExistentReplica},
	onlineReplica:      {newReplica, onlineReplica, offlineReplica, deletionIneligible},
	offlineReplica:     {newReplica, onlineReplica, offlineReplica, deletionIneligible},
	deletionStarted:    {offlineReplica},
	deletionSuccessful: {deletionStarted},
	deletionIneligible: {offlineReplica, deletionStarted},
	nonExistentReplica: {deletionSuccessful},
}

// replica is one replica of a partition.
type replica struct {
	partition *partition
	broker    int32
}

func compareTP(a, b protocol.TopicPartition) int {
	if c := strings.Compare(a.Topic, b.Topic); c != 0 {
		return c
	}
	return int(a.Partition) - int(b.Partition)
}

// mayReach reports whether a transition is allowed.
func mayReach[S comparable](table map[S][]S, from, to S) bool {
	return slices.Contains(table[to], from)
}
