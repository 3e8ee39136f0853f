package differential

import (
	"fmt"

	"github.com/twmb/franz-go/pkg/kmsg"
)

func configScenarios() []scenario {
	return []scenario{
		{"describe configs of topics", describeTopicConfigs},
		{"describe configs of brokers", describeBrokerConfigs},
		{"describe configs of others", describeOtherConfigs},
		{"alter configs", alterConfigs},
		{"alter configs incrementally", incrementalConfigs},
		{"broker configs", brokerConfigs},
		{"broker configs refused", brokerConfigsRefused},
		{"broker loggers", brokerLoggers},
	}
}

const (
	topicType  = kmsg.ConfigResourceTypeTopic
	brokerType = kmsg.ConfigResourceTypeBroker
	loggerType = kmsg.ConfigResourceTypeBrokerLogger
)

func describeConfigs(v int16, kind kmsg.ConfigResourceType, name string, keys ...string) *kmsg.DescribeConfigsRequest {
	return at(v, &kmsg.DescribeConfigsRequest{Resources: []kmsg.DescribeConfigsRequestResource{{ResourceType: kind, ResourceName: name, ConfigNames: keys}}})
}

func describeTopicConfigs(s *session) {
	s.createTopic("dc-plain", 1)
	s.createTopic("dc-set", 1, "retention.ms", "77", "cleanup.policy", "compact", "message.timestamp.difference.max.ms", "5", "preallocate", "true")
	s.each(32, 0, func(s *session, v int16) {
		for _, synonyms := range []bool{false, true} {
			for _, docs := range []bool{false, true} {
				for _, topic := range []string{"dc-plain", "dc-set"} {
					r := describeConfigs(v, topicType, topic)
					r.IncludeSynonyms, r.IncludeDocumentation = synonyms, docs
					s.in("v%d %s synonyms %v docs %v", v, topic, synonyms, docs).do("", r)
				}
			}
		}
		s.in("v%d", v).do("some keys", describeConfigs(v, topicType, "dc-set", "retention.ms", "nonsense", "retention.ms", "log.dirs"))
		empty := describeConfigs(v, topicType, "dc-set")
		empty.Resources[0].ConfigNames = []string{}
		s.do("no keys", empty)
		for _, name := range []string{"dc-none", "", "a b", "..", "__consumer_offsets"} {
			if v == 0 || v == 4 {
				s.do(fmt.Sprintf("name %q", name), describeConfigs(v, topicType, name, "retention.ms"))
			}
		}
		twice := describeConfigs(v, topicType, "dc-set", "retention.ms")
		twice.Resources = append(twice.Resources, twice.Resources[0])
		s.do("twice", twice)
	})
	s.do("none", at(4, &kmsg.DescribeConfigsRequest{}))
}

// describeBrokerConfigs compares every key: value, type, source, read-only, sensitive and synonyms.
func describeBrokerConfigs(s *session) {
	for _, name := range []string{"0", ""} {
		s.each(32, 0, func(s *session, v int16) {
			for _, synonyms := range []bool{false, true} {
				r := describeConfigs(v, brokerType, name)
				r.IncludeSynonyms, r.IncludeDocumentation = synonyms, true
				s.in("v%d %q synonyms %v", v, name, synonyms).do("", r)
			}
		})
	}
	for _, name := range []string{"1", "-1", "x", "00", " 0", "99999999999"} {
		s.do(fmt.Sprintf("name %q", name), describeConfigs(4, brokerType, name))
	}
	s.do("some keys", describeConfigs(4, brokerType, "0", "log.dirs", "nonsense", "retention.ms", "listener.name.plaintext.ssl.key.password"))
}

func describeOtherConfigs(s *session) {
	for _, v := range []int16{0, 1, 4} {
		for _, kind := range []int8{0, 1, 3, 16, 32, 64, 127, -1} {
			s.in("v%d type %d", v, kind).do("", describeConfigs(v, kmsg.ConfigResourceType(kind), "x"))
		}
		for _, name := range []string{"1", "", "x"} {
			s.in("v%d logger %q", v, name).do("", describeConfigs(v, loggerType, name))
		}
		s.in("v%d logger", v).do("one", describeConfigs(v, loggerType, "0", "kafka.server.KafkaConfig", "nonsense"))
	}
}

func alterRequest(v int16, kind kmsg.ConfigResourceType, name string, configs ...string) *kmsg.AlterConfigsRequest {
	r := kmsg.AlterConfigsRequestResource{ResourceType: kind, ResourceName: name}
	for i := 0; i < len(configs); i += 2 {
		r.Configs = append(r.Configs, kmsg.AlterConfigsRequestResourceConfig{Name: configs[i], Value: &configs[i+1]})
	}
	return at(v, &kmsg.AlterConfigsRequest{Resources: []kmsg.AlterConfigsRequestResource{r}})
}

// topicShows waits until a topic's key has a value: configs reach a broker through a notification.
func (s *session) topicShows(label, topic, key, value string) {
	s.until(label, describeConfigs(4, topicType, topic, key), func(r kmsg.Response) bool {
		rs := r.(*kmsg.DescribeConfigsResponse).Resources
		return len(rs) == 1 && len(rs[0].Configs) == 1 && rs[0].Configs[0].Value != nil && *rs[0].Configs[0].Value == value
	})
}

func alterConfigs(s *session) {
	s.each(33, 0, func(s *session, v int16) {
		topic := fmt.Sprintf("ac-%d", v)
		s.createTopic(topic, 1, "retention.ms", "1", "segment.bytes", "1000")
		ask := func(label string, configs ...string) { s.do(label, alterRequest(v, topicType, topic, configs...)) }
		ask("replaces all", "retention.ms", "2")
		s.topicShows("replaced", topic, "segment.bytes", "1073741824")
		ask("unknown key", "nonsense", "2")
		ask("bad value", "retention.ms", "x")
		ask("key twice", "retention.ms", "3", "retention.ms", "4")
		null := alterRequest(v, topicType, topic, "retention.ms", "")
		null.Resources[0].Configs[0].Value = nil
		s.do("null value", null)
		only := alterRequest(v, topicType, topic, "retention.ms", "9")
		only.ValidateOnly = true
		s.do("validate only", only)
		only.Resources[0].Configs[0].Value = ptr("x")
		s.do("validate only bad", only)
		ask("nothing")
		s.topicShows("nothing left", topic, "retention.ms", "604800000")
		for _, name := range []string{"ac-none", "", "a b"} {
			s.do(fmt.Sprintf("topic %q", name), alterRequest(v, topicType, name, "retention.ms", "1"))
		}
		for _, kind := range []int8{0, 1, 3, 8, 16, 32, 77} {
			s.do(fmt.Sprintf("type %d", kind), alterRequest(v, kmsg.ConfigResourceType(kind), "x", "a", "b"))
		}
		mixed := alterRequest(v, topicType, topic, "retention.ms", "3")
		mixed.Resources = append(mixed.Resources, alterRequest(v, topicType, "ac-none", "retention.ms", "3").Resources...)
		s.do("mixed", mixed)
		s.do("none", at(v, &kmsg.AlterConfigsRequest{}))
		twice := alterRequest(v, topicType, topic, "retention.ms", "3")
		twice.Resources = append(twice.Resources, twice.Resources[0])
		s.doMute("resource twice", twice)
	})
}

func incremental(v int16, kind kmsg.ConfigResourceType, name string, ops ...any) *kmsg.IncrementalAlterConfigsRequest {
	r := kmsg.IncrementalAlterConfigsRequestResource{ResourceType: kind, ResourceName: name}
	for i := 0; i < len(ops); i += 3 {
		c := kmsg.IncrementalAlterConfigsRequestResourceConfig{Name: ops[i].(string), Op: kmsg.IncrementalAlterConfigOp(ops[i+1].(int))}
		if value, ok := ops[i+2].(string); ok {
			c.Value = &value
		}
		r.Configs = append(r.Configs, c)
	}
	return at(v, &kmsg.IncrementalAlterConfigsRequest{Resources: []kmsg.IncrementalAlterConfigsRequestResource{r}})
}

const (
	opSet = iota
	opDelete
	opAppend
	opSubtract
)

func incrementalConfigs(s *session) {
	s.each(44, 0, func(s *session, v int16) {
		topic := fmt.Sprintf("ic-%d", v)
		s.createTopic(topic, 1)
		ask := func(label string, ops ...any) { s.do(label, incremental(v, topicType, topic, ops...)) }
		ask("set", "retention.ms", opSet, "5")
		s.topicShows("is set", topic, "retention.ms", "5")
		ask("append", "cleanup.policy", opAppend, "compact")
		s.topicShows("is appended", topic, "cleanup.policy", "delete,compact")
		ask("append again", "cleanup.policy", opAppend, "compact")
		ask("subtract", "cleanup.policy", opSubtract, "delete")
		s.topicShows("is subtracted", topic, "cleanup.policy", "compact")
		ask("subtract missing", "cleanup.policy", opSubtract, "delete")
		ask("append to no list", "retention.ms", opAppend, "5")
		ask("subtract from no list", "retention.ms", opSubtract, "5")
		ask("set list", "leader.replication.throttled.replicas", opSet, "0:0,1:0")
		ask("append to list", "leader.replication.throttled.replicas", opAppend, "2:0")
		s.topicShows("list", topic, "leader.replication.throttled.replicas", "0:0,1:0,2:0")
		ask("delete", "retention.ms", opDelete, nil)
		s.topicShows("is deleted", topic, "retention.ms", "604800000")
		ask("delete missing", "retention.ms", opDelete, nil)
		ask("delete with value", "retention.ms", opDelete, "5")
		ask("null value", "retention.ms", opSet, nil)
		ask("unknown op", "retention.ms", 9, "5")
		ask("unknown key", "nonsense", opSet, "5")
		ask("delete unknown key", "nonsense", opDelete, nil)
		ask("bad value", "retention.ms", opSet, "x")
		ask("good and bad", "retention.ms", opSet, "9", "segment.bytes", opSet, "x")
		ask("key twice", "retention.ms", opSet, "3", "retention.ms", opSet, "4")
		ask("nothing")
		only := incremental(v, topicType, topic, "retention.ms", opSet, "11")
		only.ValidateOnly = true
		s.do("validate only", only)
		for _, name := range []string{"ic-none", "", "a b", "__consumer_offsets"} {
			s.do(fmt.Sprintf("topic %q", name), incremental(v, topicType, name, "retention.ms", opSet, "604800000"))
		}
		for _, kind := range []int8{0, 1, 3, 16, 32, 77} {
			s.do(fmt.Sprintf("type %d", kind), incremental(v, kmsg.ConfigResourceType(kind), "x", "a", opSet, "b"))
		}
		twice := incremental(v, topicType, topic, "retention.ms", opSet, "3")
		twice.Resources = append(twice.Resources, twice.Resources[0])
		s.doMute("resource twice", twice)
		s.do("none", at(v, &kmsg.IncrementalAlterConfigsRequest{}))
		s.do("end", describeConfigs(4, topicType, topic))
	})
}

func (s *session) brokerShows(label, broker, key, value string) {
	r := describeConfigs(4, brokerType, broker, key)
	r.IncludeSynonyms = true
	s.until(label, r, func(resp kmsg.Response) bool {
		rs := resp.(*kmsg.DescribeConfigsResponse).Resources
		if len(rs) != 1 || len(rs[0].Configs) != 1 {
			return value == ""
		}
		return rs[0].Configs[0].Value != nil && *rs[0].Configs[0].Value == value
	})
}

// brokerConfigs changes dynamic keys of one broker and of all, and looks at values, sources and synonyms.
func brokerConfigs(s *session) {
	set := func(label, broker, key, value string) {
		s.do(label, incremental(1, brokerType, broker, key, opSet, value))
	}
	reset := func(label, broker, key string) {
		s.do(label, incremental(1, brokerType, broker, key, opDelete, nil))
	}
	set("one", "0", "log.retention.ms", "123456789")
	s.brokerShows("one shows", "0", "log.retention.ms", "123456789")
	set("all", "", "log.retention.ms", "222222222")
	s.brokerShows("all shows", "", "log.retention.ms", "222222222")
	s.brokerShows("own value stays", "0", "log.retention.ms", "123456789")
	reset("own gone", "0", "log.retention.ms")
	s.brokerShows("default in force", "0", "log.retention.ms", "222222222")
	s.createTopic("bc-topic", 1)
	r := describeConfigs(4, topicType, "bc-topic", "retention.ms")
	r.IncludeSynonyms = true
	s.do("topic inherits", r)
	reset("all gone", "", "log.retention.ms")
	s.brokerShows("nothing left", "", "log.retention.ms", "")
	s.until("topic inherits no more", r, func(resp kmsg.Response) bool {
		c := resp.(*kmsg.DescribeConfigsResponse).Resources[0].Configs
		return len(c) == 1 && *c[0].Value == "604800000"
	})
	set("max bytes", "0", "message.max.bytes", "2000")
	s.brokerShows("max bytes shows", "0", "message.max.bytes", "2000")
	s.do("produce over it", produce(9, "bc-topic", 0, newBatch(values(string(make([]byte, 3000)))...).bytes()))
	reset("max bytes gone", "0", "message.max.bytes")
	s.brokerShows("max bytes default", "0", "message.max.bytes", "1048588")
	s.do("produce again", produce(9, "bc-topic", 0, newBatch(values(string(make([]byte, 3000)))...).bytes()))
	for _, name := range []string{"0", ""} {
		all := alterRequest(2, brokerType, name, "log.cleaner.threads", "2", "log.segment.bytes", "10000000")
		s.do("alter all of "+name, all)
		s.brokerShows("altered "+name, name, "log.segment.bytes", "10000000")
		s.do("alter to nothing "+name, alterRequest(2, brokerType, name))
	}
}

func brokerConfigsRefused(s *session) {
	for _, name := range []string{"0", "", "1", "x"} {
		for _, c := range [][2]string{
			{"broker.id", "5"}, {"zookeeper.connect", "x"}, {"log.dirs", "/x"}, {"nonsense", "1"}, {"retention.ms", "1"}, {"num.io.threads", "1"}, {"num.io.threads", "12"},
			{"num.io.threads", "100"}, {"num.io.threads", "x"}, {"num.network.threads", "0"}, {"log.retention.hours", "5"}, {"log.retention.minutes", "5"},
			{"log.roll.hours", "5"}, {"log.retention.ms", "x"}, {"log.retention.ms", "-2"}, {"log.cleanup.policy", "nope"}, {"compression.type", "zip"},
			{"min.insync.replicas", "0"}, {"max.connections", "-1"}, {"listeners", "PLAINTEXT://:1"}, {"advertised.listeners", "bad"},
			{"listener.name.plaintext.max.connections", "x"}, {"listener.name.none.max.connections", "5"}, {"ssl.keystore.location", "/nowhere"},
			{"listener.name.plaintext.ssl.keystore.location", "/nowhere"}, {"leader.replication.throttled.rate", "5"}, {"log.message.timestamp.type", "x"},
			{"unclean.leader.election.enable", "maybe"}, {"log.index.size.max.bytes", "1"}, {"background.threads", "21"}, {"metric.reporters", "no.such.Class"},
			{"delete.topic.enable", "false"}, {"auto.create.topics.enable", "false"}, {"group.max.size", "1"}, {"message.max.bytes", "-1"},
		} {
			only := incremental(1, brokerType, name, c[0], opSet, c[1])
			only.ValidateOnly = true
			s.in("broker %q", name).do(c[0]+"="+c[1], only)
		}
	}
}

func brokerLoggers(s *session) {
	const logger = "kafka.server.KafkaConfig"
	show := func(label, level string) {
		s.until(label, describeConfigs(4, loggerType, "0", logger), func(r kmsg.Response) bool {
			rs := r.(*kmsg.DescribeConfigsResponse).Resources
			return len(rs) == 1 && (level == "" || len(rs[0].Configs) == 1 && *rs[0].Configs[0].Value == level)
		})
	}
	ask := func(label string, ops ...any) { s.do(label, incremental(1, loggerType, "0", ops...)) }
	show("before", "")
	for _, level := range []string{"TRACE", "DEBUG", "INFO", "WARN", "ERROR", "FATAL"} {
		ask("set "+level, logger, opSet, level)
		show("shows "+level, level)
	}
	ask("delete", logger, opDelete, nil)
	show("after", "")
	for _, level := range []string{"OFF", "ALL", "info", "x", ""} {
		ask("bad level "+level, logger, opSet, level)
	}
	ask("null level", logger, opSet, nil)
	ask("append", logger, opAppend, "INFO")
	ask("unknown logger", "no.such.Logger", opSet, "INFO")
	ask("root", "root", opSet, "INFO")
	ask("delete root", "root", opDelete, nil)
	s.do("other broker", incremental(1, loggerType, "1", logger, opSet, "INFO"))
	s.do("no broker", incremental(1, loggerType, "", logger, opSet, "INFO"))
	s.do("alter configs", alterRequest(2, loggerType, "0", logger, "INFO"))
}
