package broker

import (
	"fmt"
	"slices"
	"strings"

	"github.com/twmb/franz-go/pkg/kmsg"

	"gregor/broker/config"
	"gregor/protocol"
	"gregor/replication/controller"
	"gregor/zk"
)

// unset is how a request leaves the number of partitions or the replication factor to the broker (KIP-464).
const unset = -1

// maxPartitionsPerTopic bounds what one request can make us compute. The znode of a topic outgrows ZooKeeper's 1 MiB (jute.maxbuffer) long before.
const maxPartitionsPerTopic = 250_000

// topicPlan is a topic that may be created.
type topicPlan struct {
	partitions map[int32][]int32 // replicas by partition
	configs    map[string]string
}

// planTopic checks a topic in the order of ZkAdminManager.createTopics, so that a request with several faults gets the same code, and assigns replicas. planned
// are topics that are about to be made.
func (b *Broker) planTopic(asked *kmsg.CreateTopicsRequestTopic, planned []zk.NewTopic) (*topicPlan, error) {
	if b.metadata.HasTopic(asked.Topic) {
		return nil, topicExists(asked.Topic)
	}
	plan := &topicPlan{configs: make(map[string]string, len(asked.Configs))}
	var nulls []string
	for _, c := range asked.Configs {
		if c.Value == nil {
			nulls = append(nulls, c.Name)
			continue
		}
		plan.configs[c.Name] = *c.Value
	}
	if nulls != nil {
		return nil, newAPIError(protocol.InvalidConfig, "These configs may not be null: %s.", strings.Join(nulls, ", "))
	}
	var err error
	if plan.partitions, err = b.assignTopic(asked); err != nil {
		return nil, err
	}
	if err := b.checkNewTopicName(asked.Topic, planned); err != nil {
		return nil, err
	}
	if err := checkManualAssignment(plan.partitions); err != nil {
		return nil, err
	}
	if err := config.ValidateTopic(plan.configs); err != nil {
		return nil, newAPIError(protocol.InvalidConfig, "%s", err)
	}
	return plan, nil
}

func topicExists(topic string) error {
	return newAPIError(protocol.TopicAlreadyExists, "Topic '%s' already exists.", topic)
}

// assignTopic takes the manual assignment of a request, or spreads replicas over the live brokers. Manual assignments are not compared with the brokers there
// are (as in Kafka: an unknown broker makes a topic without a leader); of a partition given twice the last one counts.
func (b *Broker) assignTopic(asked *kmsg.CreateTopicsRequestTopic) (map[int32][]int32, error) {
	partitions, factor := asked.NumPartitions, asked.ReplicationFactor
	if len(asked.ReplicaAssignment) > 0 {
		if partitions != unset || factor != unset {
			return nil, newAPIError(protocol.InvalidRequest, "Both a replica assignment and numbers of partitions or replicas are given; only one of them can be.")
		}
		assignment := make(map[int32][]int32, len(asked.ReplicaAssignment))
		for _, a := range asked.ReplicaAssignment {
			assignment[a.Partition] = a.Replicas
			if a.Replicas == nil {
				assignment[a.Partition] = []int32{}
			}
		}
		return assignment, nil
	}
	if partitions == unset {
		partitions = int32(b.config.Int("num.partitions"))
	}
	if factor == unset {
		factor = int16(b.config.Int("default.replication.factor"))
	}
	if partitions > maxPartitionsPerTopic {
		return nil, newAPIError(protocol.InvalidPartitions, "A topic may have at most %d partitions, %d were asked for.", maxPartitionsPerTopic, partitions)
	}
	places := b.brokerPlaces()
	assignment, err := placeReplicas(places, int(partitions), int(factor), -1, 0)
	if err == nil {
		err = b.checkRacks(places)
	}
	return assignment, err
}

// errSomeRacks is UNKNOWN_SERVER_ERROR without a message: what Kafka's AdminOperationException comes to.
var errSomeRacks = fmt.Errorf("not all brokers have rack information for replica rack aware assignment: %w", protocol.UnknownServerError)

// checkRacks refuses to place replicas while some brokers have a rack and others do not, as AdminUtils does: whoever sets racks broker by broker would get
// topics that are not spread over them.
func (b *Broker) checkRacks(places []controller.BrokerPlace) error {
	racked := 0
	for _, p := range places {
		if p.Rack != "" {
			racked++
		}
	}
	if racked == 0 || racked == len(places) {
		return nil
	}
	b.logging.Logger("kafka.server.ZkAdminManager").Error(fmt.Sprintf("[Admin Manager on Broker %d]: %v", b.id, errSomeRacks))
	return errSomeRacks
}

// placeReplicas is controller.AssignReplicas with its refusals made fit for the client.
func placeReplicas(places []controller.BrokerPlace, n, factor, start, first int) (map[int32][]int32, error) {
	assignment, err := controller.AssignReplicas(places, n, factor, start, first)
	if err != nil {
		code := errorCode(err)
		return nil, newAPIError(code, "%s.", strings.TrimSuffix(err.Error(), ": "+code.String()))
	}
	return assignment, nil
}

// brokerPlaces lists the live brokers for the placement of replicas.
func (b *Broker) brokerPlaces() []controller.BrokerPlace {
	image := b.metadata.image.Load()
	places := make([]controller.BrokerPlace, 0, len(image.brokers))
	for id, broker := range image.brokers {
		place := controller.BrokerPlace{ID: id}
		if broker.rack != nil {
			place.Rack = *broker.rack
		}
		places = append(places, place)
	}
	slices.SortFunc(places, func(a, b controller.BrokerPlace) int { return int(a.ID) - int(b.ID) })
	return places
}

// checkNewTopicName refuses bad names, names that exist and names that collide with one that does (AdminZkClient.validateTopicCreate). ZooKeeper is asked,
// because the image may lag behind it.
func (b *Broker) checkNewTopicName(topic string, planned []zk.NewTopic) error {
	if err := checkTopicName(topic); err != nil {
		return err
	}
	existing, err := b.zk.Topic(topic)
	if err != nil {
		return err
	}
	if existing != nil {
		return topicExists(topic)
	}
	if !strings.ContainsAny(topic, "._") {
		return nil
	}
	topics, err := b.zk.Topics()
	if err != nil {
		return err
	}
	for _, other := range planned {
		topics = append(topics, other.Name)
	}
	if other, collides := collidingTopic(topic, topics); collides {
		return newAPIError(protocol.InvalidTopicException, "Topic '%s' collides with the existing topic '%s': '.' and '_' cannot be told apart in metric names.", topic, other)
	}
	return nil
}

// checkManualAssignment wants equally many distinct replicas everywhere and partitions from 0 on without a gap. Negative partitions count towards the number
// and are otherwise overlooked, which is what AdminZkClient does.
func checkManualAssignment(partitions map[int32][]int32) error {
	factor, sum := -1, int64(0)
	for partition, replicas := range partitions {
		if factor >= 0 && factor != len(replicas) {
			return newAPIError(protocol.InvalidReplicaAssignment, "All partitions must have the same number of replicas.")
		}
		factor = len(replicas)
		if hasDuplicates(replicas) {
			return newAPIError(protocol.InvalidReplicaAssignment, "Partition %d has a replica twice on one broker: %v.", partition, replicas)
		}
		if partition >= 0 {
			sum += int64(partition)
		}
	}
	if n := int64(len(partitions)); sum != n*(n-1)/2 {
		return newAPIError(protocol.InvalidReplicaAssignment, "The partitions must be numbered from 0 to %d without a gap.", n-1)
	}
	return nil
}

func hasDuplicates(replicas []int32) bool {
	sorted := slices.Sorted(slices.Values(replicas))
	return len(slices.Compact(sorted)) < len(replicas)
}
