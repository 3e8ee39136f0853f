package zk

import (
	"fmt"
	"strconv"
	"strings"

	"gregor/protocol"
)

// The JSON of the small znodes. Field order is the order in which Kafka writes them.
type (
	controllerJSON struct {
		Version              int32   `json:"version"`
		BrokerID             *int32  `json:"brokerid"`
		Timestamp            decimal `json:"timestamp"`
		KRaftControllerEpoch int32   `json:"kraftControllerEpoch"`
	}
	clusterIDJSON struct {
		Version string `json:"version"` // a JSON string, unlike everywhere else
		ID      string `json:"id"`
	}
	configJSON struct {
		Version int32             `json:"version"`
		Config  map[string]string `json:"config"`
	}
	configChangeJSON struct {
		Version    int32  `json:"version"`
		EntityPath string `json:"entity_path,omitempty"` // v2: topics/t, users/u/clients/c
		EntityType string `json:"entity_type,omitempty"` // v1: topics or clients
		EntityName string `json:"entity_name,omitempty"` // v1
	}
	partitionJSON struct {
		Topic     string  `json:"topic"`
		Partition int32   `json:"partition"`
		Replicas  []int32 `json:"replicas,omitempty"`
	}
	partitionsJSON struct {
		Version    int32           `json:"version"`
		Partitions []partitionJSON `json:"partitions"`
	}
	logDirEventJSON struct {
		Version int32  `json:"version"`
		Broker  *int32 `json:"broker"`
		Event   int32  `json:"event"`
	}
	producerIDBlockJSON struct {
		Version    int32    `json:"version"`
		Broker     int32    `json:"broker"`
		BlockStart *decimal `json:"block_start"`
		BlockEnd   *decimal `json:"block_end"` // inclusive
	}
	featuresJSON struct {
		Features map[string]any `json:"features"` // a level by name in version 2, a range of levels in version 1
		Version  int32          `json:"version"`
		Status   int32          `json:"status"`
	}
)

// EncodeController writes /controller v2.
func EncodeController(brokerID int32, timestampMs int64) []byte {
	return encodeJSON(controllerJSON{Version: 2, BrokerID: &brokerID, Timestamp: decimal(timestampMs), KRaftControllerEpoch: -1})
}

// DecodeController reads /controller v1 and v2.
func DecodeController(data []byte) (brokerID int32, err error) {
	var j struct {
		BrokerID *int32 `json:"brokerid"`
	}
	if err := decodeJSON(ControllerPath, data, &j); err != nil {
		return -1, err
	}
	if j.BrokerID == nil {
		return -1, fmt.Errorf("%s has no brokerid", ControllerPath)
	}
	return *j.BrokerID, nil
}

// decodeControllerEpoch reads the decimal of /controller_epoch.
func decodeControllerEpoch(data []byte) (int32, error) {
	n, err := strconv.ParseInt(strings.TrimSpace(string(data)), 10, 32)
	if err != nil || n < 0 {
		return 0, fmt.Errorf("%s holds %.40q, which is not an epoch", ControllerEpochPath, data)
	}
	return int32(n), nil
}

func encodeClusterID(id string) []byte { return encodeJSON(clusterIDJSON{Version: "1", ID: id}) }

// DecodeClusterID reads /cluster/id.
func DecodeClusterID(data []byte) (string, error) {
	var j struct {
		ID string `json:"id"`
	}
	if err := decodeJSON(ClusterIDPath, data, &j); err != nil {
		return "", err
	}
	if j.ID == "" {
		return "", fmt.Errorf("%s has no id", ClusterIDPath)
	}
	return j.ID, nil
}

// EncodeConfig writes /config/<kind>/<name>.
func EncodeConfig(config map[string]string) []byte {
	if config == nil {
		config = map[string]string{}
	}
	return encodeJSON(configJSON{Version: 1, Config: config})
}

// DecodeConfig reads /config/<kind>/<name>; null data is an empty configuration.
func DecodeConfig(kind, name string, data []byte) (map[string]string, error) {
	if len(data) == 0 {
		return map[string]string{}, nil
	}
	var j configJSON
	if err := decodeJSON(configPath(kind, name), data, &j); err != nil {
		return nil, err
	}
	if j.Config == nil {
		j.Config = map[string]string{}
	}
	return j.Config, nil
}

func encodeConfigChange(kind, name string) []byte {
	return encodeJSON(configChangeJSON{Version: 2, EntityPath: kind + "/" + name})
}

// DecodeConfigChange reads a notification of /config/changes, v1 or v2, as kind and name.
func DecodeConfigChange(data []byte) (kind, name string, err error) {
	var j configChangeJSON
	if err := decodeJSON(ConfigChangesPath, data, &j); err != nil {
		return "", "", err
	}
	kind, name = j.EntityType, j.EntityName
	if j.EntityPath != "" {
		kind, name, _ = strings.Cut(j.EntityPath, "/")
	}
	if kind == "" || name == "" {
		return "", "", fmt.Errorf("a notification of %s names no entity", ConfigChangesPath)
	}
	return kind, name, nil
}

// Reassignment is one entry of /admin/reassign_partitions.
type Reassignment struct {
	protocol.TopicPartition
	Replicas []int32
}

// EncodeReassignments writes /admin/reassign_partitions.
func EncodeReassignments(rs []Reassignment) []byte {
	j := partitionsJSON{Version: 1, Partitions: []partitionJSON{}}
	for _, r := range rs {
		j.Partitions = append(j.Partitions, partitionJSON{Topic: r.Topic, Partition: r.Partition, Replicas: r.Replicas})
	}
	return encodeJSON(j)
}

// DecodeReassignments reads /admin/reassign_partitions.
func DecodeReassignments(data []byte) ([]Reassignment, error) {
	var j partitionsJSON
	if err := decodeJSON(ReassignPartitionsPath, data, &j); err != nil {
		return nil, err
	}
	rs := make([]Reassignment, 0, len(j.Partitions))
	for _, p := range j.Partitions {
		rs = append(rs, Reassignment{protocol.TopicPartition{Topic: p.Topic, Partition: p.Partition}, p.Replicas})
	}
	return rs, nil
}

// EncodePartitions writes the list of partitions of an isr_change notification.
func EncodePartitions(tps []protocol.TopicPartition) []byte {
	j := partitionsJSON{Version: 1, Partitions: []partitionJSON{}}
	for _, tp := range tps {
		j.Partitions = append(j.Partitions, partitionJSON{Topic: tp.Topic, Partition: tp.Partition})
	}
	return encodeJSON(j)
}

// DecodePartitions reads the list of partitions in /admin/preferred_replica_election and in an isr_change notification.
func DecodePartitions(path string, data []byte) ([]protocol.TopicPartition, error) {
	var j partitionsJSON
	if err := decodeJSON(path, data, &j); err != nil {
		return nil, err
	}
	tps := make([]protocol.TopicPartition, 0, len(j.Partitions))
	for _, p := range j.Partitions {
		tps = append(tps, protocol.TopicPartition{Topic: p.Topic, Partition: p.Partition})
	}
	return tps, nil
}

// logDirFailure is the only event there is.
const logDirFailure = 1

func encodeLogDirEvent(broker int32) []byte {
	return encodeJSON(logDirEventJSON{Version: 1, Broker: &broker, Event: logDirFailure})
}

// DecodeLogDirEvent reads a log_dir_event notification: the broker one of whose directories failed.
func DecodeLogDirEvent(data []byte) (broker int32, err error) {
	var j logDirEventJSON
	if err := decodeJSON(LogDirEventNotificationPath, data, &j); err != nil {
		return 0, err
	}
	if j.Broker == nil || j.Event != logDirFailure {
		return 0, fmt.Errorf("a notification of %s is not the failure of a broker's directory", LogDirEventNotificationPath)
	}
	return *j.Broker, nil
}

// States of features (KIP-584).
const (
	featuresDisabled = 0 // a broker below inter.broker.protocol.version 2.7-IV0 was the controller
	featuresEnabled  = 1
)

// newFeatures is /feature with nothing finalized: in version 1, or in version 2 from inter.broker.protocol.version 3.3-IV0 on; 0 stands for brokers that know of no features.
func newFeatures(version int32) featuresJSON {
	if version == 0 {
		return featuresJSON{Features: map[string]any{}, Version: 1, Status: featuresDisabled}
	}
	return featuresJSON{Features: map[string]any{}, Version: version, Status: featuresEnabled}
}
