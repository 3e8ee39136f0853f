// Package config knows every key of Apache Kafka 3.9's broker and topic configuration (name, type, default, range,
// scope, synonyms), reads server.properties, keeps the configuration of a broker in its layers and answers
// DescribeConfigs from it.
//
// The layers, the strongest first: the dynamic values of this broker (/config/brokers/N), the dynamic values of all
// brokers (/config/brokers/<default>), server.properties, the default of the key.
package config

import "fmt"

// Type is the type of a key, with the codes of DescribeConfigs v3 and later.
type Type int8

// The types. Unknown is what DescribeConfigs says of a name that no definition knows.
const (
	Unknown  Type = 0
	Boolean  Type = 1
	String   Type = 2
	Int      Type = 3
	Short    Type = 4
	Long     Type = 5
	Double   Type = 6
	List     Type = 7
	Class    Type = 8
	Password Type = 9
)

// Scope says where a broker key may be set.
type Scope int8

// The scopes, as Kafka's documentation names its update modes.
const (
	Static      Scope = iota // read-only: server.properties only
	PerBroker                // also dynamic, for one broker only
	ClusterWide              // also dynamic, for one broker or as the default of all
	DynamicOnly              // dynamic only; not in server.properties and not among the keys that DescribeConfigs lists
)

// The sources of a value, with the codes of DescribeConfigs v1 and later.
const (
	SourceTopic                int8 = 1
	SourceDynamicBroker        int8 = 2
	SourceDynamicDefaultBroker int8 = 3
	SourceStaticBroker         int8 = 4
	SourceDefault              int8 = 5
)

// Key is one definition.
type Key struct {
	Name     string
	Type     Type
	Default  *string // as DescribeConfigs prints it; nil: no default (null)
	Scope    Scope   // of a broker key; topic keys can always be changed
	Internal bool    // known, but listed by DescribeConfigs only when it is set
	Doc      string
	rule     rule // what a value has to satisfy beyond its type; nil: nothing
}

// null stands for "no default" in the tables; no real default holds a NUL.
const null = "\x00"

// k is a row of the broker tables.
func k(name string, t Type, def string, scope Scope, r rule, doc string) Key {
	key := Key{Name: name, Type: t, Scope: scope, Doc: doc, rule: r}
	if def != null {
		key.Default = &def
	}
	return key
}

// internal is a row for a key that Kafka keeps out of its documentation.
func internal(name string, t Type, def string, r rule, doc string) Key {
	key := k(name, t, def, Static, r, doc)
	key.Internal = true
	return key
}

// topicKey is a topic's definition and the broker key that is its default; server is empty where a topic key has none.
type topicKey struct {
	Key
	server string
}

// topic is a row of the topic table.
func topic(name string, t Type, def, server string, r rule, doc string) topicKey {
	return topicKey{k(name, t, def, ClusterWide, r, doc), server}
}

var brokerIndex, topicIndex = indexBrokerKeys(), indexTopicKeys()

// indexBrokerKeys joins the tables. A name that stands in two of them is our own bug.
func indexBrokerKeys() map[string]*Key {
	index := make(map[string]*Key, 340)
	for _, table := range [][]Key{
		serverKeys, networkKeys, zookeeperKeys, logKeys, replicationKeys, coordinatorKeys, metricsKeys,
		securityKeys, sslKeys, saslKeys, remoteKeys, kraftKeys,
	} {
		for i := range table {
			if _, twice := index[table[i].Name]; twice {
				panic(fmt.Sprintf("broker key %s is defined twice", table[i].Name))
			}
			index[table[i].Name] = &table[i]
		}
	}
	return index
}

func indexTopicKeys() map[string]*topicKey {
	index := make(map[string]*topicKey, len(topicKeys))
	for i := range topicKeys {
		index[topicKeys[i].Name] = &topicKeys[i]
	}
	return index
}

// BrokerKey looks a broker key up by its exact name, without listener prefix.
func BrokerKey(name string) (Key, bool) {
	if key, ok := brokerIndex[name]; ok {
		return *key, true
	}
	return Key{}, false
}

// TopicKey looks a topic key up.
func TopicKey(name string) (Key, bool) {
	if key, ok := topicIndex[name]; ok {
		return key.Key, true
	}
	return Key{}, false
}

// String is the name of a type as Kafka's messages print it.
func (t Type) String() string {
	switch t {
	case Boolean:
		return "BOOLEAN"
	case String:
		return "STRING"
	case Int:
		return "INT"
	case Short:
		return "SHORT"
	case Long:
		return "LONG"
	case Double:
		return "DOUBLE"
	case List:
		return "LIST"
	case Class:
		return "CLASS"
	case Password:
		return "PASSWORD"
	default:
		return "UNKNOWN"
	}
}
