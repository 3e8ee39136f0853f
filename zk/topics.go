package zk

import (
	"errors"
	"fmt"
	"slices"

	"gregor/protocol"
)

// Topics lists the names of all topics in order.
func (c *Client) Topics() ([]string, error) {
	names, err := c.children(TopicsPath)
	slices.Sort(names)
	return names, err
}

// Topic reads a topic; nil, nil when there is none.
func (c *Client) Topic(name string) (*Topic, error) {
	data, stat, err := c.getOrNil(TopicPath(name))
	if err != nil || stat == nil {
		return nil, err
	}
	t, err := DecodeTopic(name, data)
	if err != nil {
		return nil, err
	}
	t.Version = stat.Version
	return t, nil
}

// ReadTopics reads many topics at once. Missing ones are left out, unreadable ones are logged and left out.
func (c *Client) ReadTopics(names []string) (map[string]*Topic, error) {
	found := make([]*Topic, len(names))
	err := c.parallel(len(names), func(i int) error {
		data, stat, err := c.getOrNil(TopicPath(names[i]))
		if err != nil || stat == nil {
			return err
		}
		t, err := DecodeTopic(names[i], data)
		if err != nil {
			c.log.Warn("Ignoring a topic that cannot be read", "error", err)
			return nil
		}
		t.Version = stat.Version
		found[i] = t
		return nil
	})
	if err != nil {
		return nil, err
	}
	topics := make(map[string]*Topic, len(names))
	for _, t := range found {
		if t != nil {
			topics[t.Name] = t
		}
	}
	return topics, nil
}

// CreateTopic is CreateTopicWithID with a new random id, which it returns.
func (c *Client) CreateTopic(name string, partitions map[int32][]int32, config map[string]string) (protocol.TopicID, error) {
	id := NewTopicID()
	if err := c.CreateTopicWithID(name, id, partitions, config); err != nil {
		return protocol.TopicID{}, err
	}
	return id, nil
}

// CreateTopicWithID writes /config/topics/T (even when empty, without a notification) and then /brokers/topics/T; the zero id stands for
// none. The controller does the rest when it sees the new child. Error: protocol.TopicAlreadyExists.
func (c *Client) CreateTopicWithID(name string, id protocol.TopicID, partitions map[int32][]int32, config map[string]string) error {
	stat, err := c.exists(TopicPath(name))
	if err != nil {
		return err
	}
	if stat != nil {
		return protocol.TopicAlreadyExists
	}
	if err := c.setOrCreate(configPath("topics", name), EncodeConfig(config)); err != nil {
		return err
	}
	err = c.create(TopicPath(name), EncodeTopic(&Topic{Name: name, ID: id, Partitions: partitions}))
	if errors.Is(err, ErrNodeExists) {
		return protocol.TopicAlreadyExists
	}
	return err
}

// AddPartitions adds partitions to the assignment, keeping id, adding and removing. Errors:
// protocol.UnknownTopicOrPartition, and protocol.InvalidPartitions when one of them exists by now.
func (c *Client) AddPartitions(name string, added map[int32][]int32) error {
	for {
		t, err := c.Topic(name)
		if err != nil {
			return err
		}
		if t == nil {
			return protocol.UnknownTopicOrPartition
		}
		for p, replicas := range added {
			if _, exists := t.Partitions[p]; exists {
				return fmt.Errorf("partition %d of topic %s exists already: %w", p, name, protocol.InvalidPartitions)
			}
			t.Partitions[p] = replicas
		}
		_, err = c.set(TopicPath(name), EncodeTopic(t), t.Version)
		if errors.Is(err, ErrBadVersion) {
			continue
		}
		if errors.Is(err, ErrNoNode) {
			return protocol.UnknownTopicOrPartition
		}
		return err
	}
}

// RequestTopicDeletion creates /admin/delete_topics/T, which the controller watches; fine when it is there already.
func (c *Client) RequestTopicDeletion(name string) error {
	return c.createMissing(deleteTopicPath(name), nil)
}

// TopicsToBeDeleted lists the topics whose deletion was asked for and is not finished, in order.
func (c *Client) TopicsToBeDeleted() ([]string, error) {
	names, err := c.children(DeleteTopicsPath)
	slices.Sort(names)
	return names, err
}
