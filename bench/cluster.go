package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"gregor/bench/load"
)

// replicated is the number of brokers of a cluster that replicates, and the replication factor of every topic in it.
const replicated = 3

// replicatedSettings hold for every broker of such a cluster, of both kinds.
const replicatedSettings = "offsets.topic.replication.factor=3\nmin.insync.replicas=2\n"

// shortSession makes ZooKeeper give a killed broker's id free after 6 instead of 18 seconds, the least that it grants at its default tick: what a failure
// costs is the brokers' doing then, and not a long timeout's. With thousands of partitions, brokers that share two processors may be late for it.
const shortSession = "zookeeper.session.timeout.ms=6000\n"

// cluster is one broker or several of one kind; a topic in it has as many replicas as it has brokers.
type cluster struct {
	l       *lab
	kind    kind
	chroot  string // in ZooKeeper
	brokers []*broker
}

// startCluster starts so many brokers on empty directories, each with the settings, and waits until all know each other and a controller.
func (l *lab) startCluster(ctx context.Context, k kind, size int, settings string) (*cluster, error) {
	c := &cluster{l: l, kind: k, chroot: fmt.Sprintf("bench-%d", l.started+1)}
	for id := range size {
		b, _, err := l.startIn(ctx, k, c.chroot, fmt.Sprintf("broker.id=%d\n", id)+settings)
		if err != nil {
			c.stop()
			return nil, err
		}
		c.brokers = append(c.brokers, b)
	}
	if err := c.awaitMembers(ctx); err != nil {
		c.stop()
		return nil, err
	}
	return c, nil
}

func (c *cluster) awaitMembers(ctx context.Context) error {
	return await(ctx, time.Minute, func() error {
		for _, b := range c.brokers {
			m, err := b.metadata(ctx)
			if err != nil {
				return err
			}
			if len(m.Brokers) != len(c.brokers) || m.ControllerID < 0 {
				return fmt.Errorf("%d brokers, controller %d", len(m.Brokers), m.ControllerID)
			}
		}
		return nil
	})
}

func (c *cluster) stop() {
	for _, b := range c.brokers {
		b.stop()
	}
}

// cpu is the CPU time that all brokers have used, in seconds.
func (c *cluster) cpu() float64 {
	var sum float64
	for _, b := range c.brokers {
		sum += b.cpu()
	}
	return sum
}

// restart runs a broker again that was killed, on its files.
func (c *cluster) restart(ctx context.Context, id int32) error {
	if err := c.awaitGone(ctx, id); err != nil {
		return err
	}
	_, err := c.l.run(ctx, c.brokers[id])
	return err
}

// awaitGone waits until ZooKeeper has given a dead broker's id free.
func (c *cluster) awaitGone(ctx context.Context, id int32) error {
	node := fmt.Sprintf("/%s/brokers/ids/%d\n", c.chroot, id)
	return await(ctx, time.Minute, func() error {
		dump, err := c.l.zooKeeperSays("dump") // lists the ephemeral nodes of all sessions
		if err == nil && strings.Contains(dump, node) {
			err = fmt.Errorf("broker %d is still registered", id)
		}
		return err
	})
}

// alreadyExists is the error code TOPIC_ALREADY_EXISTS.
const alreadyExists = 36

// createTopics makes topics of so many partitions each, by asking the controller. The settings are "key=value".
func (c *cluster) createTopics(ctx context.Context, patience time.Duration, partitions int32, topics []string, settings ...string) error {
	r := kmsg.NewPtrCreateTopicsRequest()
	r.Version, r.TimeoutMillis = 4, int32(patience.Milliseconds())
	for _, name := range topics {
		t := kmsg.NewCreateTopicsRequestTopic()
		t.Topic, t.NumPartitions, t.ReplicationFactor = name, partitions, int16(len(c.brokers))
		for _, s := range settings {
			key, value, _ := strings.Cut(s, "=")
			t.Configs = append(t.Configs, kmsg.CreateTopicsRequestTopicConfig{Name: key, Value: kmsg.StringPtr(value)})
		}
		r.Topics = append(r.Topics, t)
	}
	return await(ctx, 30*time.Second, func() error {
		m, err := c.brokers[0].metadata(ctx)
		if err != nil {
			return err
		}
		if m.ControllerID < 0 || int(m.ControllerID) >= len(c.brokers) {
			return errors.New("there is no controller")
		}
		resp, err := load.Ask(ctx, c.brokers[m.ControllerID].addr, r, patience)
		if err != nil {
			return err
		}
		for _, t := range resp.(*kmsg.CreateTopicsResponse).Topics {
			if t.ErrorCode != 0 && t.ErrorCode != alreadyExists {
				return fmt.Errorf("create topic %s: error %d", t.Topic, t.ErrorCode)
			}
		}
		return nil
	})
}

// topic makes a topic with all its replicas in sync.
func (c *cluster) topic(ctx context.Context, name string, partitions int32, settings ...string) error {
	if err := c.createTopics(ctx, 2*time.Minute, partitions, []string{name}, settings...); err != nil {
		return err
	}
	return c.awaitInSync(ctx, int(partitions), name)
}

// awaitInSync waits until every broker knows so many partitions of the topics, each with a leader and all replicas in the ISR. How long that may take is
// the context's to say.
func (c *cluster) awaitInSync(ctx context.Context, partitions int, topics ...string) error {
	for _, b := range c.brokers {
		for {
			n := 0
			m, err := b.metadata(ctx, topics...)
			if err == nil {
				n = inSync(m, len(c.brokers))
			}
			if n == partitions {
				break
			}
			if late := sleep(ctx, 20*time.Millisecond); late != nil {
				return errors.Join(err, fmt.Errorf("%d of %d partitions are in sync: %w", n, partitions, late))
			}
		}
	}
	return nil
}

// inSync counts the partitions with a leader and so many replicas in the ISR.
func inSync(m *kmsg.MetadataResponse, replicas int) (n int) {
	for _, t := range m.Topics {
		for _, p := range t.Partitions {
			if p.Leader >= 0 && len(p.ISR) == replicas {
				n++
			}
		}
	}
	return n
}

// leaders asks the brokers but one for the leader of each partition of a topic, and for the controller. A partition without one, or whose leader is that
// broker, has -1.
func (c *cluster) leaders(ctx context.Context, topic string, not int32) (leaders []int32, controller int32, err error) {
	for id, b := range c.brokers {
		if int32(id) == not {
			continue
		}
		m, askErr := b.metadata(ctx, topic)
		if askErr != nil {
			err = askErr
			continue
		}
		if len(m.Topics) != 1 || m.Topics[0].ErrorCode != 0 {
			err = fmt.Errorf("broker %d does not know topic %s", id, topic)
			continue
		}
		leaders = make([]int32, len(m.Topics[0].Partitions))
		for _, p := range m.Topics[0].Partitions {
			if leaders[p.Partition] = p.Leader; p.Leader == not {
				leaders[p.Partition] = -1
			}
		}
		return leaders, m.ControllerID, nil
	}
	return nil, -1, err
}

// leader is where a partition's requests go to.
func (c *cluster) leader(ctx context.Context, topic string, partition, not int32) (*broker, error) {
	leaders, _, err := c.leaders(ctx, topic, not)
	if err != nil {
		return nil, err
	}
	if leaders[partition] < 0 {
		return nil, fmt.Errorf("%s-%d has no leader", topic, partition)
	}
	return c.brokers[leaders[partition]], nil
}
