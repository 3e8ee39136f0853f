package zk_test

import (
	"context"
	"errors"
	"reflect"
	"slices"
	"strings"
	"testing"

	"gregor/protocol"
	"gregor/zk"
)

func TestTopics(t *testing.T) {
	s, c := start(t)
	id, err := c.CreateTopic("t", map[int32][]int32{0: {1}}, map[string]string{"a": "b"})
	if err != nil || id.IsZero() {
		t.Fatal(id, err)
	}
	if _, err := c.CreateTopic("t", map[int32][]int32{0: {1}}, nil); !errors.Is(err, protocol.TopicAlreadyExists) {
		t.Errorf("created twice: %v", err)
	}
	if data, _ := s.Get("/config/topics/t"); string(data) != `{"version":1,"config":{"a":"b"}}` {
		t.Errorf("config %s", data)
	}
	if err := c.AddPartitions("t", map[int32][]int32{1: {2}}); err != nil {
		t.Fatal(err)
	}
	if err := c.AddPartitions("t", map[int32][]int32{1: {3}}); !errors.Is(err, protocol.InvalidPartitions) {
		t.Errorf("a partition was added twice: %v", err)
	}
	if err := c.AddPartitions("none", nil); !errors.Is(err, protocol.UnknownTopicOrPartition) {
		t.Errorf("partitions of no topic: %v", err)
	}
	got, err := c.Topic("t")
	if err != nil || got.ID != id || !reflect.DeepEqual(got.Partitions, map[int32][]int32{0: {1}, 1: {2}}) {
		t.Errorf("%+v, %v", got, err)
	}
	if got, err := c.Topic("none"); got != nil || err != nil {
		t.Errorf("a topic that is not there: %+v, %v", got, err)
	}
	s.Put("/brokers/topics/bad", []byte("{"))
	if names, _ := c.Topics(); !slices.Equal(slices.Sorted(slices.Values(names)), []string{"bad", "t"}) {
		t.Errorf("topics %v", names)
	}
	if read, err := c.ReadTopics([]string{"bad", "none", "t"}); err != nil || len(read) != 1 {
		t.Errorf("read %v, %v", read, err)
	}
	for range 2 {
		if err := c.RequestTopicDeletion("t"); err != nil {
			t.Fatal(err)
		}
	}
	fence, err := c.ElectController(1)
	if err != nil {
		t.Fatal(err)
	}
	states := map[protocol.TopicPartition]zk.PartitionState{}
	for p := range int32(500) {
		states[protocol.TopicPartition{Topic: "t", Partition: p}] = zk.PartitionState{Leader: 1, ISR: []int32{1}}
	}
	s.Put("/brokers/topics/t/partitions/3", nil) // a predecessor died here
	s.Put("/brokers/topics/t/partitions/4/state", []byte("x"))
	failed, err := c.CreatePartitionStates(fence, states)
	if err != nil || len(failed) != 1 || !errors.Is(failed[protocol.TopicPartition{Topic: "t", Partition: 4}], zk.ErrNodeExists) {
		t.Errorf("failed %v, %v", failed, err)
	}
	if err := c.DeleteTopic(fence, "t"); err != nil {
		t.Fatal(err)
	}
	for _, p := range s.Paths() {
		if strings.HasSuffix(p, "/t") || strings.Contains(p, "/t/") {
			t.Errorf("%s is left", p)
		}
	}
}

func TestConfigChanges(t *testing.T) {
	s, c := start(t)
	if err := c.SetEntityConfig("topics", "early", map[string]string{"a": "b"}); err != nil {
		t.Fatal(err)
	}
	changes := make(chan string, 100)
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	if err := c.WatchConfigChanges(ctx, func(kind, name string) { changes <- kind + "/" + name }); err != nil {
		t.Fatal(err)
	}
	if got := receive(t, changes, "what was there"); got != "topics/early" {
		t.Errorf("change of %s", got)
	}
	s.Put("/config/changes/config_change_0000000003", []byte("garbage"))
	// What an old tool writes, and what we write.
	s.Put("/config/changes/config_change_0000000005", []byte(`{"version":1,"entity_type":"topics","entity_name":"old"}`))
	if got := receive(t, changes, "version 1"); got != "topics/old" {
		t.Errorf("change of %s", got)
	}
	// Changes across an expired session are not missed.
	s.Expire(c.SessionID())
	s.Put("/config/changes/config_change_0000000007", []byte(`{"version":2,"entity_path":"users/u/clients/c"}`))
	if got := receive(t, changes, "a change during the expiry"); got != "users/u/clients/c" {
		t.Errorf("change of %s", got)
	}

	if config, err := c.EntityConfig("topics", "early"); err != nil || config["a"] != "b" {
		t.Errorf("%v, %v", config, err)
	}
	if config, err := c.EntityConfig("topics", "none"); err != nil || config != nil {
		t.Errorf("%v, %v", config, err)
	}
	s.Put("/config/clients/x", []byte(`{"version":1,"config":{"q":"1"}}`))
	s.Put("/config/clients/bad", []byte(`{"version":1,"config":7}`))
	if all, err := c.EntityConfigs("clients"); err != nil || len(all) != 1 || all["x"]["q"] != "1" {
		t.Errorf("%v, %v", all, err)
	}
	if err := c.SetEntityConfig("clients", "x", nil); err != nil {
		t.Fatal(err)
	}
	if _, ok := s.Get("/config/clients/x"); ok {
		t.Error("a quota entity without settings is left")
	}
}

// A leader's write of its partition's state: on condition that nobody wrote in between, and done when it was done before.
func TestUpdateISR(t *testing.T) {
	_, c := start(t)
	tp := protocol.TopicPartition{Topic: "t"}
	fence, err := c.ElectController(1)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.CreateTopic("t", map[int32][]int32{0: {1, 2}}, nil); err != nil {
		t.Fatal(err)
	}
	if failed, err := c.CreatePartitionStates(fence, map[protocol.TopicPartition]zk.PartitionState{tp: {Leader: 1, LeaderEpoch: 3, ISR: []int32{1, 2}, ControllerEpoch: 1}}); err != nil || len(failed) != 0 {
		t.Fatal(failed, err)
	}
	state := zk.PartitionState{Leader: 1, LeaderEpoch: 3, ISR: []int32{1}, ControllerEpoch: 1}
	for _, tc := range []struct {
		name    string
		isr     []int32
		version int32
		want    int32
		err     error
	}{
		{"as it stands", []int32{1}, 0, 1, nil},
		{"once more, the answer was lost", []int32{1}, 0, 1, nil},
		{"another one, of a version that is over", []int32{1, 2, 3}, 0, 0, zk.ErrBadVersion},
		{"of the version that is", []int32{1, 2, 3}, 1, 2, nil},
	} {
		state.ISR, state.Version = tc.isr, tc.version
		if version, err := c.UpdateISR(tp, state); version != tc.want || !errors.Is(err, tc.err) {
			t.Errorf("%s: version %d, %v; want %d, %v", tc.name, version, err, tc.want, tc.err)
		}
	}
	if _, err := c.UpdateISR(protocol.TopicPartition{Topic: "gone"}, state); !errors.Is(err, zk.ErrNoNode) {
		t.Errorf("a partition that is gone: %v", err)
	}
	states, err := c.PartitionStates([]protocol.TopicPartition{tp})
	if got := states[tp]; err != nil || !slices.Equal(got.ISR, []int32{1, 2, 3}) || got.Version != 2 || got.LeaderEpoch != 3 || got.ControllerEpoch != 1 {
		t.Errorf("%+v, %v", got, err)
	}
	changed := []protocol.TopicPartition{tp, {Topic: "u", Partition: 7}}
	if err := c.NotifyISRChanges(changed); err != nil {
		t.Fatal(err)
	}
	if got, err := c.TakeISRChanges(fence); err != nil || !slices.Equal(got, changed) {
		t.Errorf("notified of %v, %v", got, err)
	}
}

// TestCreateTopicOverLeftovers: configs of a topic that is not there, and a tree without the paths above it.
func TestCreateTopicOverLeftovers(t *testing.T) {
	s, c := start(t)
	s.Put("/config/topics/t", []byte(`{"version":1,"config":{"old":"1"}}`))
	s.Delete("/config/topics/u")
	s.Delete("/brokers/topics")
	topics := []zk.NewTopic{
		{Name: "t", ID: zk.NewTopicID(), Partitions: map[int32][]int32{0: {1}}, Config: map[string]string{"new": "2"}},
		{Name: "u", Partitions: map[int32][]int32{0: {1}}},
		{Name: "t", ID: zk.NewTopicID(), Partitions: map[int32][]int32{0: {2}}, Config: map[string]string{"other": "3"}},
	}
	for i, err := range c.CreateTopics(topics[:2]) {
		if err != nil {
			t.Errorf("topic %d: %v", i, err)
		}
	}
	if errs := c.CreateTopics(topics[2:]); !errors.Is(errs[0], protocol.TopicAlreadyExists) {
		t.Errorf("created twice: %v", errs[0])
	}
	if data, _ := s.Get("/config/topics/t"); string(data) != `{"version":1,"config":{"new":"2"}}` {
		t.Errorf("config %s", data)
	}
	for _, topic := range topics[:2] {
		if got, err := c.Topic(topic.Name); err != nil || got == nil || got.ID != topic.ID || !slices.Equal(got.Partitions[0], []int32{1}) {
			t.Errorf("%s: %+v, %v", topic.Name, got, err)
		}
	}
}

// TestUpdateISRKeepsLives: what the controller knew of the members that stay stays, whatever a leader knows.
func TestUpdateISRKeepsLives(t *testing.T) {
	_, c := start(t)
	tp := protocol.TopicPartition{Topic: "t"}
	fence, err := c.ElectController(1)
	if err == nil {
		_, err = c.CreateTopic("t", map[int32][]int32{0: {1, 2, 3, 4}}, nil)
	}
	if err != nil {
		t.Fatal(err)
	}
	state := zk.PartitionState{Leader: 1, ISR: []int32{1, 2, 3}, ISREpochs: []int64{11, 12, 13}}
	if failed, err := c.CreatePartitionStates(fence, map[protocol.TopicPartition]zk.PartitionState{tp: state}); err != nil || len(failed) != 0 {
		t.Fatal(failed, err)
	}
	for _, tc := range []struct {
		isr  []int32
		want []int64
	}{{[]int32{3, 1, 4}, []int64{13, 11, -1}}, {[]int32{1, 3, 2}, []int64{11, 13, -1}}, {[]int32{1}, nil}, {[]int32{1, 2}, nil}} {
		version, err := c.UpdateISR(tp, zk.PartitionState{Leader: 1, ISR: tc.isr, Version: state.Version})
		if err != nil {
			t.Fatal(err)
		}
		states, err := c.PartitionStates([]protocol.TopicPartition{tp})
		if state = states[tp]; err != nil || state.Version != version || !slices.Equal(state.ISREpochs, tc.want) {
			t.Errorf("ISR %v: lives %v, want %v (%v)", tc.isr, state.ISREpochs, tc.want, err)
		}
	}
}
