package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// clusterSize is the number of brokers of a cluster, and the replication factor of every topic in it.
const clusterSize = 3

// clusterSettings hold for every broker of both kinds. The session timeout is the least that ZooKeeper grants at its default tick, so that what a
// failure costs is the brokers' doing and not a long timeout's.
const clusterSettings = "offsets.topic.replication.factor=3\nmin.insync.replicas=2\nzookeeper.session.timeout.ms=6000\n"

// cluster is three brokers of one kind.
type cluster struct {
	l       *lab
	kind    kind
	brokers [clusterSize]*broker
}

func (l *lab) startCluster(ctx context.Context, k kind) (*cluster, error) {
	c := &cluster{l: l, kind: k}
	chroot := fmt.Sprintf("cluster-%d", l.started+1)
	for id := range c.brokers {
		var err error
		if c.brokers[id], _, err = l.startIn(ctx, k, chroot, fmt.Sprintf("broker.id=%d\n", id)+clusterSettings); err != nil {
			c.stop()
			return nil, err
		}
	}
	err := await(ctx, 60*time.Second, func() error {
		for _, b := range c.brokers {
			m, err := b.metadata()
			if err != nil {
				return err
			}
			if len(m.Brokers) != clusterSize || m.ControllerID < 0 {
				return fmt.Errorf("%d brokers, controller %d", len(m.Brokers), m.ControllerID)
			}
		}
		return nil
	})
	if err != nil {
		c.stop()
	}
	return c, err
}

func (c *cluster) stop() {
	for _, b := range c.brokers {
		if b != nil {
			b.stop()
		}
	}
}

// cpu is the CPU time that all three have used, in seconds.
func (c *cluster) cpu() float64 {
	var sum float64
	for _, b := range c.brokers {
		sum += b.cpu()
	}
	return sum
}

// kill ends a broker as kill -9 does; restart runs it again on its files.
func (c *cluster) kill(id int32) error {
	b := c.brokers[id]
	if err := b.cmd.Process.Signal(syscall.SIGKILL); err != nil {
		return err
	}
	b.cmd.Wait()
	return nil
}

func (c *cluster) restart(ctx context.Context, id int32) error {
	_, err := c.l.run(ctx, c.brokers[id])
	return err
}

// metadata asks a broker about topics; all of them when none is named.
func (b *broker) metadata(topics ...string) (*kmsg.MetadataResponse, error) {
	r := kmsg.NewPtrMetadataRequest()
	r.Version = 7
	for _, name := range topics {
		t := kmsg.NewMetadataRequestTopic()
		t.Topic = kmsg.StringPtr(name)
		r.Topics = append(r.Topics, t)
	}
	if len(topics) == 0 {
		r.Topics = []kmsg.MetadataRequestTopic{}
	}
	resp, err := b.ask(r)
	if err != nil {
		return nil, err
	}
	return resp.(*kmsg.MetadataResponse), nil
}

// createTopics makes topics of so many partitions each, by asking the controller.
func (c *cluster) createTopics(ctx context.Context, partitions int32, names ...string) error {
	r := kmsg.NewPtrCreateTopicsRequest()
	r.Version, r.TimeoutMillis = 4, 300_000
	for _, name := range names {
		t := kmsg.NewCreateTopicsRequestTopic()
		t.Topic, t.NumPartitions, t.ReplicationFactor = name, partitions, clusterSize
		r.Topics = append(r.Topics, t)
	}
	return await(ctx, 30*time.Second, func() error {
		m, err := c.brokers[0].metadata()
		if err != nil || m.ControllerID < 0 {
			return errors.Join(err, errors.New("there is no controller"))
		}
		resp, err := c.brokers[m.ControllerID].askFor(r, 5*time.Minute)
		if err != nil {
			return err
		}
		for _, t := range resp.(*kmsg.CreateTopicsResponse).Topics {
			if t.ErrorCode != 0 && t.ErrorCode != 36 { // 36: it exists
				return fmt.Errorf("create topic %s: error %d", t.Topic, t.ErrorCode)
			}
		}
		return nil
	})
}

// awaitISR waits until every broker knows so many partitions of the topics, each with a leader and all replicas in the ISR.
func (c *cluster) awaitISR(ctx context.Context, limit time.Duration, partitions int, names ...string) error {
	deadline := time.Now().Add(limit)
	for _, b := range c.brokers {
		for {
			n := 0
			m, err := b.metadata(names...)
			if err == nil {
				for _, t := range m.Topics {
					for _, p := range t.Partitions {
						if p.Leader >= 0 && len(p.ISR) == clusterSize {
							n++
						}
					}
				}
			}
			if n == partitions {
				break
			}
			if time.Now().After(deadline) {
				return errors.Join(err, fmt.Errorf("%d of %d partitions are in sync", n, partitions))
			}
			if err := sleep(ctx, 20*time.Millisecond); err != nil {
				return err
			}
		}
	}
	return nil
}

// leader asks the brokers but one for the leader of a partition, and the controller.
func (c *cluster) leader(topic string, partition int32, not int32) (leader, controller int32, err error) {
	for id, b := range c.brokers {
		if int32(id) == not {
			continue
		}
		var m *kmsg.MetadataResponse
		if m, err = b.metadata(topic); err != nil {
			continue
		}
		for _, t := range m.Topics {
			for _, p := range t.Partitions {
				if p.Partition == partition && p.Leader >= 0 && p.Leader != not {
					return p.Leader, m.ControllerID, nil
				}
			}
		}
		err = fmt.Errorf("%s-%d has no leader", topic, partition)
	}
	return -1, -1, err
}

// producers makes a producer per partition, each on one connection to its leader.
func (c *cluster) producers(topic string, partitions int32, r row, batch []byte) ([]*producer, error) {
	var all []*producer
	for i := range partitions {
		leader, _, err := c.leader(topic, i, -1)
		if err != nil {
			return nil, err
		}
		p := &producer{addr: c.brokers[leader].addr, row: row{name: topic, connections: 1, depth: r.depth}, recordBytes: len(batch)}
		for j := range p.frames {
			p.frames[j] = produceFrame(topic, i, -1, batch)
		}
		all = append(all, p)
	}
	return all, nil
}

// openFiles is how many files a process may have open.
func openFiles() string {
	var limit syscall.Rlimit
	if syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit) != nil {
		return "unknown"
	}
	return strconv.FormatUint(limit.Cur, 10)
}

// descriptors is how many files a broker's process has open.
func (b *broker) descriptors() int {
	entries, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", b.cmd.Process.Pid))
	if err != nil {
		return 0
	}
	return len(entries)
}

func dial(ctx context.Context, addr string) (net.Conn, error) {
	d := net.Dialer{Timeout: time.Second}
	return d.DialContext(ctx, "tcp", addr)
}

func names(prefix string, n int) []string {
	var all []string
	for i := range n {
		all = append(all, prefix+strings.Repeat("0", 3-len(strconv.Itoa(i)))+strconv.Itoa(i))
	}
	return all
}
