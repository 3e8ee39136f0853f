package broker

import (
	"slices"

	"github.com/twmb/franz-go/pkg/kmsg"

	"gregor/protocol"
	"gregor/zk"
)

// Metadata (3), versions 0-12: brokers, the controller, topics and who leads their partitions, and the creation of topics at their first mention.
//
// Differences from Apache: topics are answered in the order of the request (all topics: by name), not in that of a hash table. A broker that no controller has
// told anything yet names itself, where Apache names nobody: librdkafka 2.11 forgets every broker at an empty list, the bootstrap servers too, and is lost for good.

func init() { handle(metadata) }

func metadata(b *Broker, rq *request, r *kmsg.MetadataRequest) (kmsg.Response, error) {
	resp := responseTo[*kmsg.MetadataResponse](r)
	if code := checkMetadataRequest(r); code != protocol.None {
		return refusedMetadata(resp, r, code), nil
	}
	image := b.metadata.image.Load()
	m := metadataAnswer{image: image, listener: rq.listener, version: r.Version, topicOperations: r.IncludeTopicAuthorizedOperations}
	var missing []string
	if r.Topics == nil || r.Version == 0 && len(r.Topics) == 0 {
		for _, name := range b.metadata.Topics() {
			if t := image.topics.get(name); t != nil {
				resp.Topics = append(resp.Topics, m.topic(t))
			}
		}
	} else {
		resp.Topics, missing = m.askedTopics(r)
	}
	resp.Topics = append(resp.Topics, b.missingTopics(missing, r)...)
	resp.Brokers = b.aliveFor(&m)
	resp.ClusterID = &b.clusterID
	resp.ControllerID = image.controllerID
	if r.IncludeClusterAuthorizedOperations {
		resp.AuthorizedOperations = clusterOperations
	}
	return resp, nil
}

// checkMetadataRequest refuses topic ids where the version carries them without meaning (10 and 11), and topics that have neither name nor id.
func checkMetadataRequest(r *kmsg.MetadataRequest) protocol.ErrorCode {
	anyID := slices.ContainsFunc(r.Topics, func(t kmsg.MetadataRequestTopic) bool { return t.TopicID != [16]byte{} })
	for _, t := range r.Topics {
		if r.Version < 12 && (t.Topic == nil || t.TopicID != [16]byte{}) {
			return protocol.InvalidRequest
		}
		if t.Topic == nil && !anyID {
			return protocol.UnknownServerError
		}
	}
	return protocol.None
}

// refusedMetadata answers a request that is wrong as a whole: every topic bears the code, and nothing is said of the cluster.
func refusedMetadata(resp *kmsg.MetadataResponse, r *kmsg.MetadataRequest, code protocol.ErrorCode) *kmsg.MetadataResponse {
	resp.ControllerID = -1
	for _, t := range r.Topics {
		name := ""
		if t.Topic != nil {
			name = *t.Topic
		}
		answer := topicWithoutPartitions(name, code)
		answer.TopicID, answer.IsInternal = t.TopicID, false
		resp.Topics = append(resp.Topics, answer)
	}
	return resp
}

// metadataAnswer holds what the parts of one answer have in common.
type metadataAnswer struct {
	image           *clusterImage
	listener        string
	version         int16
	topicOperations bool
}

// askedTopics answers the topics that exist, each once, and returns the names of the others. When any id is given, names do not count (Kafka's rule).
func (m *metadataAnswer) askedTopics(r *kmsg.MetadataRequest) (found []kmsg.MetadataResponseTopic, missing []string) {
	seen := make(map[string]bool, len(r.Topics))
	seenIDs := make(map[protocol.TopicID]bool)
	byID := slices.ContainsFunc(r.Topics, func(t kmsg.MetadataRequestTopic) bool { return t.TopicID != [16]byte{} })
	for _, t := range r.Topics {
		id, name := protocol.TopicID(t.TopicID), ""
		switch {
		case !byID:
			name = *t.Topic
		case id.IsZero() || seenIDs[id]:
			continue
		default:
			seenIDs[id] = true
			known := false
			if name, known = m.image.names[id[0]][id]; !known {
				answer := topicWithoutPartitions("", protocol.UnknownTopicID)
				answer.Topic, answer.TopicID = nil, t.TopicID
				found = append(found, answer)
				continue
			}
		}
		if seen[name] {
			continue
		}
		seen[name] = true
		if topic := m.image.topics.get(name); topic != nil {
			found = append(found, m.topic(topic))
		} else {
			missing = append(missing, name)
		}
	}
	return found, missing
}

func (m *metadataAnswer) topic(t *topicImage) kmsg.MetadataResponseTopic {
	answer := topicWithoutPartitions(t.name, protocol.None)
	answer.TopicID = t.id
	if m.topicOperations {
		answer.AuthorizedOperations = topicOperations
	}
	answer.Partitions = make([]kmsg.MetadataResponseTopicPartition, len(t.partitions))
	for i := range t.partitions {
		answer.Partitions[i] = m.partition(&t.partitions[i])
	}
	return answer
}

// partition follows ZkMetadataCache.getPartitionMetadata: a leader without an endpoint on the client's listener is no leader, and version 0 also hides
// replicas that cannot be reached.
func (m *metadataAnswer) partition(p *partitionImage) kmsg.MetadataResponseTopicPartition {
	answer := kmsg.NewMetadataResponseTopicPartition()
	answer.Partition, answer.Replicas, answer.ISR, answer.OfflineReplicas = p.partition, p.replicas, p.isr, p.offline
	answer.Leader, answer.LeaderEpoch = p.leader, p.leaderEpoch
	if m.version == 0 {
		answer.Replicas, answer.ISR = m.reachable(p.replicas), m.reachable(p.isr)
	}
	code := protocol.None
	if _, ok := m.image.endpoint(p.leader, m.listener); !ok {
		answer.Leader = noLeader
		code = protocol.LeaderNotAvailable
		if _, alive := m.image.brokers[p.leader]; alive && m.version >= 6 {
			code = protocol.ListenerNotFound
		}
	} else if len(answer.Replicas) < len(p.replicas) || len(answer.ISR) < len(p.isr) {
		code = protocol.ReplicaNotAvailable
	}
	answer.ErrorCode = int16(code)
	return answer
}

func (m *metadataAnswer) reachable(brokers []int32) []int32 {
	var reachable []int32
	for _, id := range brokers {
		if _, ok := m.image.endpoint(id, m.listener); ok {
			reachable = append(reachable, id)
		}
	}
	return reachable
}

func (m *metadataAnswer) brokers() []kmsg.MetadataResponseBroker {
	brokers := make([]kmsg.MetadataResponseBroker, 0, len(m.image.brokers))
	for id, b := range m.image.brokers {
		if e, ok := b.endpoints[m.listener]; ok {
			answer := kmsg.NewMetadataResponseBroker()
			answer.NodeID, answer.Host, answer.Port, answer.Rack = id, e.host, e.port, b.rack
			brokers = append(brokers, answer)
		}
	}
	slices.SortFunc(brokers, func(a, b kmsg.MetadataResponseBroker) int { return int(a.NodeID) - int(b.NodeID) })
	return brokers
}

// aliveFor lists the live brokers for a client; this one alone before the first UpdateMetadata.
func (b *Broker) aliveFor(m *metadataAnswer) []kmsg.MetadataResponseBroker {
	if len(m.image.brokers) == 0 {
		return itself(b.registration(), m.listener)
	}
	return m.brokers()
}

// itself is a broker as it names itself to clients of a listener.
func itself(r zk.Broker, listener string) []kmsg.MetadataResponseBroker {
	for _, e := range r.Endpoints {
		if e.Listener == listener {
			answer := kmsg.NewMetadataResponseBroker()
			answer.NodeID, answer.Host, answer.Port, answer.Rack = r.ID, e.Host, int32(e.Port), r.Rack
			return []kmsg.MetadataResponseBroker{answer}
		}
	}
	return nil
}

// missingTopics answers topics that do not exist, creating them where the client and auto.create.topics.enable allow it. Before version 4 every client does.
func (b *Broker) missingTopics(names []string, r *kmsg.MetadataRequest) []kmsg.MetadataResponseTopic {
	if len(names) == 0 {
		return nil
	}
	create := (r.AllowAutoTopicCreation || r.Version < 4) && b.config.Bool("auto.create.topics.enable")
	answers := make([]kmsg.MetadataResponseTopic, 0, len(names))
	for _, name := range names {
		var code protocol.ErrorCode
		switch {
		case checkTopicName(name) != nil:
			code = protocol.InvalidTopicException
		case create:
			code = b.autoCreateTopic(name)
		default:
			code = protocol.UnknownTopicOrPartition
		}
		answer := topicWithoutPartitions(name, code)
		if r.IncludeTopicAuthorizedOperations {
			answer.AuthorizedOperations = topicOperations
		}
		answers = append(answers, answer)
	}
	return answers
}

func topicWithoutPartitions(name string, code protocol.ErrorCode) kmsg.MetadataResponseTopic {
	answer := kmsg.NewMetadataResponseTopic()
	answer.Topic, answer.ErrorCode, answer.IsInternal = &name, int16(code), isInternalTopic(name)
	return answer
}
