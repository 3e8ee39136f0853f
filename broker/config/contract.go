// Package config knows every key of Apache Kafka 3.9's broker and topic configuration: name, type, default, range, scope, synonyms.
package config

// CONTRACT (stub; the owner splits this into files, replaces the panics and deletes this line).

// Type codes as in DescribeConfigs.
type Type int8

const (
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

// Scope of a broker key.
type Scope int8

const (
	Static Scope = iota
	PerBroker
	ClusterWide
	DynamicOnly
)

// Source codes as in DescribeConfigs.
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
	Default  *string // nil: no default (null)
	Scope    Scope
	Internal bool   // known but not listed by DescribeConfigs
	Doc      string // our own words
	// validation is unexported
}

// ParseProperties reads the whole Java .properties grammar; later keys win.
func ParseProperties(data []byte) (map[string]string, error) { panic("stub") }

// Store is the configuration of a broker in its layers: default < server.properties < dynamic default (/config/brokers/<default>) < dynamic broker (/config/brokers/N).
// Safe for concurrent use; readers see an immutable snapshot.
type Store struct{}

// NewStatic checks server.properties (after --override): an unknown key is returned in warnings once, a bad value is an error that names key, value and what is allowed. A setting that promises
// protection that gregor does not have yet is an error by name (issue: authorizer.class.name, SSL/SASL listeners, zookeeper.set.acl, zookeeper.ssl.*, …).
func NewStatic(props map[string]string) (s *Store, warnings []string, err error) { panic("stub") }

// Typed reads of the effective value. They panic for a name that is not a key (our own bug).
func (s *Store) String(name string) string  { panic("stub") } // "" when null
func (s *Store) Int(name string) int        { panic("stub") }
func (s *Store) Long(name string) int64     { panic("stub") }
func (s *Store) Bool(name string) bool      { panic("stub") }
func (s *Store) Double(name string) float64 { panic("stub") }
func (s *Store) List(name string) []string  { panic("stub") }
func (s *Store) IsSet(name string) bool     { panic("stub") } // has a non-null effective value

// Derived values with Kafka's precedence.
func (s *Store) LogDirs() []string { panic("stub") }

// Listener is one entry of listeners or advertised.listeners, resolved through the protocol map.
type Listener struct {
	Name, Protocol, Host string
	Port                 int32
}

func (s *Store) Listeners() []Listener           { panic("stub") }
func (s *Store) AdvertisedListeners() []Listener { panic("stub") } // hosts filled in; port 0 stays 0 (bound port decides)
func (s *Store) InterBrokerListener() string     { panic("stub") }

// SetDynamic replaces a dynamic layer (brokerDefault true: /config/brokers/<default>) and calls the listeners of OnChange when an effective value changed. Values that do not validate are
// skipped and returned as errors, as Kafka does when it reads bad values from ZooKeeper.
func (s *Store) SetDynamic(brokerDefault bool, values map[string]string) []error { panic("stub") }

// ValidateDynamic checks a whole new dynamic layer before it is written (AlterConfigs, IncrementalAlterConfigs): §6.3. The error text goes to the client with INVALID_REQUEST or INVALID_CONFIG.
func (s *Store) ValidateDynamic(brokerDefault bool, values map[string]string) error { panic("stub") }

// OnChange registers fn, called with the names whose effective value changed.
func (s *Store) OnChange(fn func(changed []string)) { panic("stub") }

// Synonym and Entry are what DescribeConfigs answers.
type Synonym struct {
	Name   string
	Value  *string // nil for sensitive or null
	Source int8
}
type Entry struct {
	Name      string
	Value     *string
	ReadOnly  bool
	Source    int8
	Sensitive bool
	Synonyms  []Synonym
	Type      Type
	Doc       string
}

// DescribeBroker lists all keys of this broker (315 names and those of server.properties unknown to any definition, §6.2 end), in Kafka's terms. DescribeBrokerDefault lists what /config/brokers/<default> sets.
func (s *Store) DescribeBroker() []Entry        { panic("stub") }
func (s *Store) DescribeBrokerDefault() []Entry { panic("stub") }

// DescribeTopic lists the 36 topic keys given the topic's own overrides, with synonyms of the broker layers (§6.1).
func (s *Store) DescribeTopic(overrides map[string]string) []Entry { panic("stub") }

// ValidateTopic checks a topic's overrides: unknown names and bad values are errors (INVALID_CONFIG). TopicValue is the effective value of a topic key.
func ValidateTopic(overrides map[string]string) error                      { panic("stub") }
func (s *Store) TopicValue(overrides map[string]string, key string) string { panic("stub") }

// TopicKey looks a topic definition up.
func TopicKey(name string) (Key, bool)  { panic("stub") }
func BrokerKey(name string) (Key, bool) { panic("stub") }
