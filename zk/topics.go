package zk

import (
	"errors"
	"fmt"
	"slices"

	gozk "github.com/go-zookeeper/zk"

	"gregor/protocol"
)

// Topics lists the names of all topics, in no order: whoever asks at every new topic need not pay for one.
func (c *Client) Topics() ([]string, error) { return c.children(TopicsPath) }

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

// NewTopic is a topic that does not exist yet.
type NewTopic struct {
	Name       string
	ID         protocol.TopicID // zero stands for none
	Partitions map[int32][]int32
	Config     map[string]string
}

// CreateTopic creates one topic with a new random id, which it returns.
func (c *Client) CreateTopic(name string, partitions map[int32][]int32, config map[string]string) (protocol.TopicID, error) {
	id := NewTopicID()
	if err := c.createTopic(NewTopic{name, id, partitions, config}); err != nil {
		return protocol.TopicID{}, err
	}
	return id, nil
}

// CreateTopics creates topics, several at once: the server writes them to its disk together, and the controller finds them together. It returns an error or nil for each.
func (c *Client) CreateTopics(topics []NewTopic) []error {
	failures := make([]error, len(topics))
	_ = c.parallel(len(topics), func(i int) error {
		failures[i] = c.createTopic(topics[i])
		return nil
	})
	return failures
}

// createTopic writes /config/topics/T (even when empty, without a notification) and /brokers/topics/T, both or none. The configs of a topic that is not there are
// overwritten. The controller does the rest when it sees the new child. Error: protocol.TopicAlreadyExists.
func (c *Client) createTopic(t NewTopic) error {
	path, data := configPath("topics", t.Name), EncodeConfig(t.Config)
	topic := createOp(TopicPath(t.Name), EncodeTopic(&Topic{Name: t.Name, ID: t.ID, Partitions: t.Partitions}), gozk.FlagPersistent)
	for {
		err := c.multi(nil, createOp(path, data, gozk.FlagPersistent), topic)
		var failed *multiError
		if errors.As(err, &failed) && failed.index == 0 && errors.Is(err, ErrNodeExists) {
			err = c.multi(nil, topic, setOp(path, data, -1))
		}
		switch {
		case errors.Is(err, ErrNodeExists):
			return protocol.TopicAlreadyExists
		case !errors.Is(err, ErrNoNode):
			return err
		}
		// The configs that were there are gone, or somebody has removed what is above them.
		if err := c.CreatePersistentPaths(); err != nil {
			return err
		}
	}
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
