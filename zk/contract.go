// Package zk is the ZooKeeper session of a broker and every znode of Kafka's tree as path + encode + decode.
package zk

// CONTRACT (stub; the owner splits this into files, replaces the panics, adds what is missing and deletes this line).

import (
	"context"
	"log/slog"
	"time"

	"gregor/protocol"
)

// Config of a session.
type Config struct {
	Connect           string // host:port,host:port/chroot
	SessionTimeout    time.Duration
	ConnectionTimeout time.Duration
	MaxInFlight       int
	Logger            func(name string) *slog.Logger
}

// Client is a session that renews itself after expiry. All paths are relative to the chroot.
type Client struct{}

// Connect waits for a session up to the connection timeout and creates the chroot when missing.
func Connect(ctx context.Context, c Config) (*Client, error) { panic("stub") }

// OnSession registers fn to run (in order, on one goroutine) after an expired session has been replaced by a new one, before any watch of the new session fires.
// OnExpired runs at expiry, before the new session.
func (c *Client) OnSession(fn func()) { panic("stub") }
func (c *Client) OnExpired(fn func()) { panic("stub") }
func (c *Client) SessionID() int64    { panic("stub") }
func (c *Client) Connected() bool     { panic("stub") }
func (c *Client) Close()              { panic("stub") } // closes the session, so that the ephemerals go at once

// CreatePersistentPaths makes all paths of kafka-surface.md §2 "Created by every broker at start".
func (c *Client) CreatePersistentPaths() error { panic("stub") }

// ClusterID reads /cluster/id or creates it.
func (c *Client) ClusterID() (string, error) { panic("stub") }

// Endpoint is one advertised listener.
type Endpoint struct {
	Listener, Protocol, Host string
	Port                     int32
}

// Broker is /brokers/ids/N. Epoch is the czxid.
type Broker struct {
	ID        int32
	Endpoints []Endpoint
	Rack      *string
	JMXPort   int32
	Timestamp int64
	Epoch     int64
}

// RegisterBroker makes the ephemeral (MULTI create+set, JSON v5) and returns its epoch; it deletes and retries when the old ephemeral is of our own earlier session, and
// waits for one that provably is this broker's former life (same id and endpoints) up to the session timeout: see ecosystem.md §2.2 NodeExists.
func (c *Client) RegisterBroker(b Broker) (epoch int64, err error)  { panic("stub") }
func (c *Client) UpdateBroker(b Broker) error                       { panic("stub") } // setData in place (listener change)
func (c *Client) Brokers() ([]Broker, error)                        { panic("stub") }
func (c *Client) GenerateBrokerID(reservedMax int32) (int32, error) { panic("stub") }

// Topic is /brokers/topics/T. Partitions maps partition to replicas.
type Topic struct {
	Name             string
	ID               protocol.TopicID
	Partitions       map[int32][]int32
	Adding, Removing map[int32][]int32
	Version          int32 // dataVersion
}

func (c *Client) Topics() ([]string, error)         { panic("stub") }
func (c *Client) Topic(name string) (*Topic, error) { panic("stub") } // nil, nil when absent

// CreateTopic writes /config/topics/T (always, even empty, no notification) and then /brokers/topics/T v3 with a random id, as AdminZkClient does. Error: TOPIC_ALREADY_EXISTS.
func (c *Client) CreateTopic(name string, partitions map[int32][]int32, config map[string]string) (protocol.TopicID, error) {
	panic("stub")
}

// AddPartitions rewrites the assignment, keeping id, adding and removing.
func (c *Client) AddPartitions(name string, added map[int32][]int32) error { panic("stub") }

// RequestTopicDeletion creates /admin/delete_topics/T; ok when it exists already.
func (c *Client) RequestTopicDeletion(name string) error { panic("stub") }
func (c *Client) TopicsToBeDeleted() ([]string, error)   { panic("stub") }

// EntityConfig reads /config/<kind>/<name> (kinds topics, brokers, clients, users, ips; name "<default>"); nil map when absent.
func (c *Client) EntityConfig(kind, name string) (map[string]string, error)       { panic("stub") }
func (c *Client) EntityConfigs(kind string) (map[string]map[string]string, error) { panic("stub") }

// SetEntityConfig writes it and then the /config/changes notification (v2).
func (c *Client) SetEntityConfig(kind, name string, config map[string]string) error { panic("stub") }

// WatchConfigChanges calls fn(kind, name) on one goroutine for every entity changed from now on (and again for all that may have been missed across a session expiry),
// purging old notification nodes as §2.6 says, until ctx ends.
func (c *Client) WatchConfigChanges(ctx context.Context, fn func(kind, name string)) error {
	panic("stub")
}

// Controller reads /controller; -1 when there is none. WatchController calls fn with the id after every change, until ctx ends.
func (c *Client) Controller() (id int32, err error) { panic("stub") }

// AllocateProducerIDBlock takes the next block of 1000 by compare-and-set on /latest_producer_id_block (brokers with IBP < 3.0; the controller uses the same).
func (c *Client) AllocateProducerIDBlock(brokerID int32) (start int64, length int32, err error) {
	panic("stub")
}

// FeatureVersion is the dataVersion of /feature, -1 when missing.
func (c *Client) FeatureVersion() (int64, error) { panic("stub") }
