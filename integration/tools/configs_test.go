package tools

func configSteps(version, prefix string) []step {
	const at = "--bootstrap-server {addr} "
	lists := []func(string) string{tidy, sorted}
	if version == "2.0.0" {
		topic := "--zookeeper {zk} --entity-type topics --entity-name {t}one "
		broker := at + "--entity-type brokers --entity-name 0 "
		return []step{
			{name: "alter a topic", tool: "configs", args: topic + "--alter --add-config retention.ms=7200000,max.message.bytes=300000"},
			{name: "describe a topic", tool: "configs", args: topic + "--describe", show: lists},
			eventually("3.9.2", prefix, "max.message.bytes=300000", step{name: "the broker sees it", tool: "configs",
				args: at + "--describe --entity-type topics --entity-name {t}one", show: lists}),
			{name: "undo", tool: "configs", args: topic + "--alter --delete-config retention.ms,max.message.bytes"},
			{name: "a bad value", tool: "configs", args: topic + "--alter --add-config retention.ms=soon", exit: 1},
			{name: "describe a broker", tool: "configs", args: broker + "--describe", show: lists},
			{name: "alter a broker", tool: "configs", args: broker + "--alter --add-config num.io.threads=9"},
			eventually("3.9.2", prefix, "num.io.threads=9", step{name: "the broker took it", tool: "configs", args: broker + "--describe", show: lists}),
			{name: "undo broker", tool: "configs", args: broker + "--alter --delete-config num.io.threads"},
		}
	}
	missingExit := 1
	if version == "4.2.0" {
		missingExit = 0 // it says so and is content
	}
	topic := at + "--entity-type topics --entity-name {t}one "
	broker := at + "--entity-type brokers --entity-name 0 "
	return []step{
		{name: "alter a topic", tool: "configs", args: topic + "--alter --add-config retention.ms=7200000,cleanup.policy=[compact,delete]"},
		eventually(version, prefix, "retention.ms=7200000", step{name: "describe a topic", tool: "configs", args: topic + "--describe", show: lists}),
		{name: "describe all of a topic", tool: "configs", args: topic + "--describe --all", show: lists},
		{name: "undo", tool: "configs", args: topic + "--alter --delete-config retention.ms,cleanup.policy"},
		{name: "a bad value", tool: "configs", args: topic + "--alter --add-config retention.ms=soon", exit: 1},
		{name: "an unknown key", tool: "configs", args: topic + "--alter --add-config no.such.key=1", exit: 1},
		{name: "a missing topic", tool: "configs", args: at + "--entity-type topics --entity-name {t}missing --describe",
			exit: missingExit, show: []func(string) string{tidy}},
		{name: "describe a broker", tool: "configs", args: broker + "--describe", show: lists},
		{name: "describe all of a broker", tool: "configs", args: broker + "--describe --all", show: lists},
		{name: "alter a broker", tool: "configs", args: broker + "--alter --add-config num.io.threads=9,log.retention.ms=1000000"},
		eventually(version, prefix, "log.retention.ms=1000000", step{name: "describe an altered broker", tool: "configs", args: broker + "--describe", show: lists}),
		{name: "undo broker", tool: "configs", args: broker + "--alter --delete-config num.io.threads,log.retention.ms"},
		{name: "a read-only key", tool: "configs", args: broker + "--alter --add-config broker.rack=r", exit: 1},
		{name: "alter all brokers", tool: "configs", args: at + "--entity-type brokers --entity-default --alter --add-config message.max.bytes=2000000"},
		eventually(version, prefix, "message.max.bytes=2000000", step{name: "describe all brokers", tool: "configs",
			args: at + "--entity-type brokers --entity-default --describe", show: lists}),
		{name: "undo all brokers", tool: "configs", args: at + "--entity-type brokers --entity-default --alter --delete-config message.max.bytes"},
		{name: "alter a logger", tool: "configs", args: at + "--entity-type broker-loggers --entity-name 0 --alter --add-config kafka.server.KafkaApis=DEBUG"},
		{name: "restore the logger", tool: "configs", args: at + "--entity-type broker-loggers --entity-name 0 --alter --add-config kafka.server.KafkaApis=INFO"},
	}
}
