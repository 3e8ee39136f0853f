package controller

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"

	"gregor/protocol"
)

// BrokerPlace is a broker as replica placement sees it.
type BrokerPlace struct {
	ID   int32
	Rack string // "" none
}

// AssignReplicas places partitions first..first+n-1 on brokers as AdminUtils does: leaders round robin from a start
// index, followers at a shift that grows with every round, and racks spread when every broker has one (when only some
// have, which Kafka's callers refuse before, racks are ignored). start is the index of the first broker and the first
// shift; negative means random.
// Errors, with Kafka's message before the code: protocol.InvalidPartitions, protocol.InvalidReplicationFactor.
func AssignReplicas(brokers []BrokerPlace, n, replicationFactor, start, first int) (map[int32][]int32, error) {
	switch {
	case n <= 0:
		return nil, &refusal{protocol.InvalidPartitions, "Number of partitions must be larger than 0"}
	case replicationFactor <= 0:
		return nil, &refusal{protocol.InvalidReplicationFactor, "Replication factor must be larger than 0"}
	case replicationFactor > len(brokers):
		return nil, &refusal{protocol.InvalidReplicationFactor, fmt.Sprintf("Replication factor: %d larger than available brokers: %d", replicationFactor, len(brokers))}
	}
	ordered := slices.SortedFunc(slices.Values(brokers), func(a, b BrokerPlace) int { return int(a.ID) - int(b.ID) })
	racked := !slices.ContainsFunc(ordered, func(b BrokerPlace) bool { return b.Rack == "" })
	if racked {
		ordered = alternateRacks(ordered)
	}
	index, shift := start, start
	if start < 0 {
		index, shift = rand.IntN(len(ordered)), rand.IntN(len(ordered))
	}
	out := make(map[int32][]int32, n)
	for p := max(first, 0); n > 0; p, n = p+1, n-1 {
		if p > 0 && p%len(ordered) == 0 {
			shift++
		}
		leader := (p + index) % len(ordered)
		if racked {
			out[int32(p)] = placeOnRacks(ordered, leader, shift, replicationFactor)
		} else {
			out[int32(p)] = place(ordered, leader, shift, replicationFactor)
		}
	}
	return out, nil
}

// place puts followers at increasing distance from the leader.
func place(brokers []BrokerPlace, leader, shift, replicationFactor int) []int32 {
	replicas := []int32{brokers[leader].ID}
	for j := range replicationFactor - 1 {
		replicas = append(replicas, brokers[follower(leader, shift, j, len(brokers))].ID)
	}
	return replicas
}

func follower(leader, shift, j, n int) int {
	return (leader + 1 + (shift+j)%(n-1)) % n
}

// placeOnRacks is place that passes over brokers on a rack that has a replica already, as long as some rack has none,
// and over brokers that have one, as long as some broker has none.
func placeOnRacks(brokers []BrokerPlace, leader, shift, replicationFactor int) []int32 {
	racks := map[string]bool{}
	for _, b := range brokers {
		racks[b.Rack] = true
	}
	usedRacks, used := map[string]bool{brokers[leader].Rack: true}, map[int32]bool{brokers[leader].ID: true}
	replicas := []int32{brokers[leader].ID}
	for k := 0; len(replicas) < replicationFactor; k++ {
		b := brokers[follower(leader, shift*len(racks), k, len(brokers))]
		if usedRacks[b.Rack] && len(usedRacks) < len(racks) || used[b.ID] && len(used) < len(brokers) {
			continue
		}
		replicas = append(replicas, b.ID)
		usedRacks[b.Rack], used[b.ID] = true, true
	}
	return replicas
}

// alternateRacks orders brokers so that neighbours are on different racks: one of each rack in turn.
func alternateRacks(sorted []BrokerPlace) []BrokerPlace {
	byRack := map[string][]BrokerPlace{}
	for _, b := range sorted {
		byRack[b.Rack] = append(byRack[b.Rack], b)
	}
	racks := slices.Sorted(maps.Keys(byRack))
	out := make([]BrokerPlace, 0, len(sorted))
	for i := 0; len(out) < len(sorted); i++ {
		rack := racks[i%len(racks)]
		if left := byRack[rack]; len(left) > 0 {
			out = append(out, left[0])
			byRack[rack] = left[1:]
		}
	}
	return out
}
