package stock

import (
	"archive/zip"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
)

// mainClasses maps a script's name, without "kafka-" and ".sh", to the classes that were behind it, newest first: packages
// moved between releases, and the first class that a release holds is the one its script runs.
var mainClasses = map[string][]string{
	"acls":                         {"org.apache.kafka.tools.AclCommand", "kafka.admin.AclCommand"},
	"broker-api-versions":          {"org.apache.kafka.tools.BrokerApiVersionsCommand", "kafka.admin.BrokerApiVersionsCommand"},
	"client-metrics":               {"org.apache.kafka.tools.ClientMetricsCommand"},
	"cluster":                      {"org.apache.kafka.tools.ClusterTool", "kafka.tools.ClusterTool"},
	"configs":                      {"kafka.admin.ConfigCommand"},
	"connect-distributed":          {"org.apache.kafka.connect.cli.ConnectDistributed"},
	"connect-mirror-maker":         {"org.apache.kafka.connect.mirror.MirrorMaker"},
	"connect-standalone":           {"org.apache.kafka.connect.cli.ConnectStandalone"},
	"console-consumer":             {"org.apache.kafka.tools.consumer.ConsoleConsumer", "kafka.tools.ConsoleConsumer"},
	"console-producer":             {"org.apache.kafka.tools.ConsoleProducer", "kafka.tools.ConsoleProducer"},
	"console-share-consumer":       {"org.apache.kafka.tools.consumer.ConsoleShareConsumer"},
	"consumer-groups":              {"org.apache.kafka.tools.consumer.group.ConsumerGroupCommand", "kafka.admin.ConsumerGroupCommand"},
	"consumer-perf-test":           {"org.apache.kafka.tools.ConsumerPerformance", "kafka.tools.ConsumerPerformance"},
	"delegation-tokens":            {"org.apache.kafka.tools.DelegationTokenCommand", "kafka.admin.DelegationTokenCommand"},
	"delete-records":               {"org.apache.kafka.tools.DeleteRecordsCommand", "kafka.admin.DeleteRecordsCommand"},
	"dump-log":                     {"kafka.tools.DumpLogSegments"},
	"e2e-latency":                  {"org.apache.kafka.tools.EndToEndLatency", "kafka.tools.EndToEndLatency"},
	"features":                     {"org.apache.kafka.tools.FeatureCommand", "kafka.admin.FeatureCommand"},
	"get-offsets":                  {"org.apache.kafka.tools.GetOffsetShell", "kafka.tools.GetOffsetShell"},
	"groups":                       {"org.apache.kafka.tools.GroupsCommand"},
	"leader-election":              {"org.apache.kafka.tools.LeaderElectionCommand", "kafka.admin.LeaderElectionCommand"},
	"log-dirs":                     {"org.apache.kafka.tools.LogDirsCommand", "kafka.admin.LogDirsCommand"},
	"metadata-quorum":              {"org.apache.kafka.tools.MetadataQuorumCommand"},
	"mirror-maker":                 {"kafka.tools.MirrorMaker"},
	"preferred-replica-election":   {"kafka.admin.PreferredReplicaLeaderElectionCommand"},
	"producer-perf-test":           {"org.apache.kafka.tools.ProducerPerformance"},
	"reassign-partitions":          {"org.apache.kafka.tools.reassign.ReassignPartitionsCommand", "kafka.admin.ReassignPartitionsCommand"},
	"replica-verification":         {"org.apache.kafka.tools.ReplicaVerificationTool", "kafka.tools.ReplicaVerificationTool"},
	"server":                       {"kafka.Kafka"},
	"share-groups":                 {"org.apache.kafka.tools.consumer.group.ShareGroupCommand"},
	"storage":                      {"kafka.tools.StorageTool"},
	"streams-application-reset":    {"org.apache.kafka.tools.StreamsResetter", "kafka.tools.StreamsResetter"},
	"streams-groups":               {"org.apache.kafka.tools.streams.StreamsGroupCommand"},
	"topics":                       {"org.apache.kafka.tools.TopicCommand", "kafka.admin.TopicCommand"},
	"transactional-message-copier": {"org.apache.kafka.tools.TransactionalMessageCopier"},
	"transactions":                 {"org.apache.kafka.tools.TransactionsCommand"},
	"verifiable-consumer":          {"org.apache.kafka.tools.VerifiableConsumer"},
	"verifiable-producer":          {"org.apache.kafka.tools.VerifiableProducer"},
	"zookeeper-security-migration": {"kafka.admin.ZkSecurityMigrator"},
	"zookeeper-server":             {"org.apache.zookeeper.server.quorum.QuorumPeerMain"},
	"zookeeper-shell":              {"org.apache.zookeeper.ZooKeeperMainWithTlsSupportForKafka", "org.apache.zookeeper.ZooKeeperMain"},
}

// MainClass is the class behind a tool's name in this release. A name with a dot in it is a class already.
func (r *Release) MainClass(tool string) (string, error) {
	if strings.Contains(tool, ".") {
		return tool, nil
	}
	candidates, known := mainClasses[tool]
	if !known {
		return "", fmt.Errorf("stock: no tool is called %q", tool)
	}
	jars, err := filepath.Glob(filepath.Join(r.libs(), "*.jar"))
	if err != nil {
		return "", err
	}
	for _, class := range candidates {
		entry := strings.ReplaceAll(class, ".", "/") + ".class"
		for _, jar := range jars {
			if !holdsPrograms(filepath.Base(jar)) {
				continue
			}
			found, err := jarContains(jar, entry)
			if err != nil {
				return "", err
			}
			if found {
				return class, nil
			}
		}
	}
	return "", fmt.Errorf("stock: Kafka %s has no %s", r.Version, tool)
}

// holdsPrograms keeps the search to the few jars that have main classes.
func holdsPrograms(jar string) bool {
	return slices.ContainsFunc([]string{"kafka_", "kafka-tools-", "zookeeper-", "connect-"}, func(prefix string) bool {
		return strings.HasPrefix(jar, prefix)
	})
}

func jarContains(jar, entry string) (bool, error) {
	archive, err := zip.OpenReader(jar)
	if err != nil {
		return false, fmt.Errorf("stock: %s: %w", jar, err)
	}
	defer archive.Close()
	return slices.ContainsFunc(archive.File, func(f *zip.File) bool { return f.Name == entry }), nil
}
