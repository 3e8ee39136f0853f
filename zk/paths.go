package zk

import (
	"errors"
	"strconv"

	gozk "github.com/go-zookeeper/zk"
)

// Paths of Kafka's tree (kafka.zk.ZkData), below the chroot.
const (
	ClusterIDPath                = "/cluster/id"
	BrokerIDsPath                = "/brokers/ids"
	BrokerSeqIDPath              = "/brokers/seqid"
	TopicsPath                   = "/brokers/topics"
	ControllerPath               = "/controller"
	ControllerEpochPath          = "/controller_epoch"
	ConfigChangesPath            = "/config/changes"
	DeleteTopicsPath             = "/admin/delete_topics"
	ReassignPartitionsPath       = "/admin/reassign_partitions"
	PreferredReplicaElectionPath = "/admin/preferred_replica_election"
	ISRChangeNotificationPath    = "/isr_change_notification"
	LogDirEventNotificationPath  = "/log_dir_event_notification"
	ProducerIDBlockPath          = "/latest_producer_id_block"
	FeaturePath                  = "/feature"
	configChangePrefix           = "config_change_"
	isrChangePrefix              = "isr_change_"
	logDirEventPrefix            = "log_dir_event_"
	defaultEntity                = "<default>"
)

// persistentPaths are created with null data by every broker at start; parents come before their children.
var persistentPaths = []string{
	"/brokers", "/config", "/admin", "/cluster", "/consumers", BrokerIDsPath, TopicsPath, ConfigChangesPath, DeleteTopicsPath, BrokerSeqIDPath,
	ISRChangeNotificationPath, ProducerIDBlockPath, LogDirEventNotificationPath,
	"/config/topics", "/config/clients", "/config/users", "/config/brokers", "/config/ips",
}

// BrokerPath is the registration of a broker.
func BrokerPath(id int32) string { return BrokerIDsPath + "/" + strconv.Itoa(int(id)) }

// TopicPath is the assignment of a topic.
func TopicPath(topic string) string { return TopicsPath + "/" + topic }

func partitionsPath(topic string) string { return TopicPath(topic) + "/partitions" }

func partitionPath(topic string, partition int32) string {
	return partitionsPath(topic) + "/" + strconv.Itoa(int(partition))
}

// PartitionStatePath is leader and ISR of a partition.
func PartitionStatePath(topic string, partition int32) string {
	return partitionPath(topic, partition) + "/state"
}

func configPath(kind, name string) string { return "/config/" + kind + "/" + name }

func deleteTopicPath(topic string) string { return DeleteTopicsPath + "/" + topic }

// CreatePersistentPaths makes the znodes that every broker makes at start, where they are missing. Their data stays null: /latest_producer_id_block for
// one must exist before the first block can be taken.
func (c *Client) CreatePersistentPaths() error {
	there := make([]bool, len(persistentPaths))
	err := c.parallel(len(persistentPaths), func(i int) error {
		stat, err := c.exists(persistentPaths[i])
		there[i] = stat != nil
		return err
	})
	if err != nil {
		return err
	}
	var missing []any
	for i, path := range persistentPaths {
		if !there[i] {
			missing = append(missing, createOp(path, nil, gozk.FlagPersistent))
		}
	}
	if len(missing) == 0 {
		return nil
	}
	if err := c.multi(nil, missing...); !errors.Is(err, ErrNodeExists) {
		return err
	}
	for _, path := range persistentPaths { // another broker makes them just now
		if err := c.createMissing(path, nil); err != nil {
			return err
		}
	}
	return nil
}
