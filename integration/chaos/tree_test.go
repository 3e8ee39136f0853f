package chaos

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/go-zookeeper/zk"
)

// A tree reads the cluster's znodes. A connection that breaks is waited for a while, since faults reach ZooKeeper, too; what errors are left are for the caller to bear.
type tree struct {
	conn   *zk.Conn
	chroot string
}

type quiet struct{}

func (quiet) Printf(string, ...any) {}

// A state is /brokers/topics/T/partitions/P/state with the assignment from the topic's znode.
type state struct {
	Leader          int32   `json:"leader"`
	Epoch           int32   `json:"leader_epoch"`
	ISR             []int32 `json:"isr"`
	ControllerEpoch int32   `json:"controller_epoch"`
	Version         int32   `json:"-"`
	Replicas        []int32 `json:"-"`
}

func (tr *tree) get(path string, v any) (*zk.Stat, error) {
	var data []byte
	var stat *zk.Stat
	err := patiently(func() (err error) {
		data, stat, err = tr.conn.Get(tr.chroot + path)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	if err := json.Unmarshal(data, v); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return stat, nil
}

// patiently repeats a read that the connection broke under.
func patiently(read func() error) error {
	for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(100 * time.Millisecond) {
		err := read()
		if !errors.Is(err, zk.ErrConnectionClosed) && !errors.Is(err, zk.ErrNoServer) || time.Now().After(deadline) {
			return err
		}
	}
}

// assignment is the replicas of a topic's partitions, the preferred ones first.
func (tr *tree) assignment(topic string) (map[string][]int32, error) {
	var node struct {
		Partitions map[string][]int32 `json:"partitions"`
	}
	_, err := tr.get("/brokers/topics/"+topic, &node)
	return node.Partitions, err
}

// state reads a partition's state. The assignment is read before and after it, since a reassignment may change both: who was a replica in
// either reading counts.
func (tr *tree) state(topic string, partition int32) (state, error) {
	before, err := tr.assignment(topic)
	if err != nil {
		return state{}, err
	}
	var s state
	stat, err := tr.get(fmt.Sprintf("/brokers/topics/%s/partitions/%d/state", topic, partition), &s)
	if err != nil {
		return state{}, err
	}
	after, err := tr.assignment(topic)
	if err != nil {
		return state{}, err
	}
	key := strconv.Itoa(int(partition))
	s.Version, s.Replicas = stat.Version, after[key]
	for _, id := range before[key] {
		if !slices.Contains(s.Replicas, id) {
			s.Replicas = append(s.Replicas, id)
		}
	}
	return s, nil
}

// controller is the id of the active controller; an error when there is none.
func (tr *tree) controller() (int32, error) {
	var node struct {
		ID int32 `json:"brokerid"`
	}
	_, err := tr.get("/controller", &node)
	return node.ID, err
}

func (tr *tree) controllerEpoch() (epoch int32, err error) {
	_, err = tr.get("/controller_epoch", &epoch)
	return epoch, err
}

// brokers is the ids that are registered.
func (tr *tree) brokers() ([]int32, error) {
	return tr.numbers("/brokers/ids")
}

func (tr *tree) numbers(path string) ([]int32, error) {
	names, err := tr.children(path)
	var ids []int32
	for _, name := range names {
		id, err := strconv.Atoi(name)
		if err != nil {
			return nil, fmt.Errorf("%s: child %q", path, name)
		}
		ids = append(ids, int32(id))
	}
	slices.Sort(ids)
	return ids, err
}

// topics is the names of all topics, those waiting for their deletion included.
func (tr *tree) topics() ([]string, error) {
	names, err := tr.children("/brokers/topics")
	slices.Sort(names)
	return names, err
}

func (tr *tree) children(path string) (names []string, err error) {
	err = patiently(func() (err error) {
		names, _, err = tr.conn.Children(tr.chroot + path)
		return err
	})
	return names, err
}

// exists says whether there is such a znode.
func (tr *tree) exists(path string) (bool, error) {
	stat, err := tr.stat(path)
	return stat != nil, err
}

// stat is nil when there is no such znode.
func (tr *tree) stat(path string) (stat *zk.Stat, err error) {
	err = patiently(func() error {
		there, found, err := tr.conn.Exists(tr.chroot + path)
		if stat = found; !there {
			stat = nil
		}
		return err
	})
	return stat, err
}
