package controller

import (
	"encoding/json"
	"reflect"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/twmb/franz-go/pkg/kmsg"

	"gregor/protocol"
	"gregor/zk"
	"gregor/zk/zktest"
)

func one(t *testing.T, change func(*Config)) (*zktest.Server, *fakeBroker, *Controller) {
	s := zktest.Start(t)
	b := startBroker(t, s, 0)
	return s, b, control(t, b, change)
}

func three(t *testing.T) (*zktest.Server, []*fakeBroker, *Controller) {
	s := zktest.Start(t)
	bs := []*fakeBroker{startBroker(t, s, 0), startBroker(t, s, 1), startBroker(t, s, 2)}
	return s, bs, control(t, bs[0], nil)
}

func TestElectionAndFeature(t *testing.T) {
	s, b, c := one(t, nil)
	if !c.Active() || c.ID() != 0 || c.Epoch() != 1 {
		t.Errorf("active %v, id %d, epoch %d", c.Active(), c.ID(), c.Epoch())
	}
	if data, _ := s.Get("/feature"); string(data) != `{"features":{},"version":2,"status":1}` {
		t.Errorf("/feature %s", data)
	}
	b.await("the list of brokers", func(b *fakeBroker) bool { return slices.Equal(b.brokers, []int32{0}) })
}

func TestCreateTopic(t *testing.T) {
	s, b, _ := one(t, nil)
	id, err := b.client.CreateTopic("t", map[int32][]int32{0: {0}, 1: {0}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	for p := range int32(2) {
		b.awaitLeader(tp{Topic: "t", Partition: p}, 0)
		if data, _ := s.Get(zk.PartitionStatePath("t", p)); string(data) != `{"controller_epoch":1,"leader":0,"version":1,"leader_epoch":0,"isr":[0]}` {
			t.Errorf("state %s", data)
		}
	}
	b.await("isNew and the id", func(b *fakeBroker) bool { return b.isNew[tp{Topic: "t"}] && b.ids["t"] == id })
	if data, _ := s.Get("/brokers/topics/t/partitions"); data != nil {
		t.Errorf("/partitions holds %q, not null", data)
	}
}

func TestThousandPartitions(t *testing.T) {
	s, b, _ := one(t, nil)
	assignment := map[int32][]int32{}
	for p := range int32(1000) {
		assignment[p] = []int32{0}
	}
	before := s.Requests()
	if _, err := b.client.CreateTopic("big", assignment, nil); err != nil {
		t.Fatal(err)
	}
	b.await("1000 leaders", func(b *fakeBroker) bool { return len(b.metadata) == 1000 })
	if n := s.Requests() - before; n > 40 {
		t.Errorf("%d ZooKeeper requests for 1000 partitions", n)
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if n := len(b.seen); n > 6 {
		t.Errorf("%d requests to the broker: %v", n, b.seen)
	}
}

// TestOldTools: what kafka-topics of 2.0 writes with --zookeeper is served, and what it drops is restored.
func TestOldTools(t *testing.T) {
	s, b, _ := one(t, nil)
	s.Put("/config/topics/t", []byte(`{"version":1,"config":{}}`))
	s.Put("/brokers/topics/t", []byte(`{"version":1,"partitions":{"0":[0]}}`))
	b.awaitLeader(tp{Topic: "t"}, 0)
	id := znode(t, s, "/brokers/topics/t")["topic_id"]
	if id == nil {
		t.Fatal("no topic id was written")
	}
	s.Put("/brokers/topics/t", []byte(`{"version":1,"partitions":{"0":[0],"1":[0]}}`))
	b.awaitLeader(tp{Topic: "t", Partition: 1}, 0)
	eventually(t, "the id to be restored", func() bool { return znode(t, s, "/brokers/topics/t")["topic_id"] == id })
	if n := len(znode(t, s, "/brokers/topics/t")["partitions"].(map[string]any)); n != 2 {
		t.Errorf("%d partitions after the restoration", n)
	}
	s.Put("/admin/delete_topics/t", nil)
	eventually(t, "the deletion", func() bool { _, ok := s.Get("/brokers/topics/t"); return !ok })
	b.await("the deletion of both replicas", func(b *fakeBroker) bool {
		return b.deleted[tp{Topic: "t"}] && b.deleted[tp{Topic: "t", Partition: 1}]
	})
}

func znode(t *testing.T, s *zktest.Server, path string) map[string]any {
	t.Helper()
	data, _ := s.Get(path)
	var m map[string]any
	if err := json.Unmarshal(data, &m); err != nil {
		t.Fatalf("%s: %q: %v", path, data, err)
	}
	return m
}

// TestIDLostBetweenTerms: at failover the id comes from a local replica before a new one is invented.
func TestIDLostBetweenTerms(t *testing.T) {
	s := zktest.Start(t)
	b := startBroker(t, s, 0)
	known := zk.NewTopicID()
	s.Put("/brokers/topics/t", []byte(`{"version":1,"partitions":{"0":[0]}}`))
	s.Put("/brokers/topics/u", []byte(`{"version":1,"partitions":{"0":[0]}}`))
	control(t, b, func(c *Config) {
		c.TopicIDHint = func(topic string) (protocol.TopicID, bool) { return known, topic == "t" }
	})
	if got := znode(t, s, "/brokers/topics/t")["topic_id"]; got != known.String() {
		t.Errorf("id %v, want %s", got, known)
	}
	if got := znode(t, s, "/brokers/topics/u")["topic_id"]; got == nil || got == known.String() {
		t.Errorf("id of a topic nobody knows: %v", got)
	}
}

func TestUnreadableZnodes(t *testing.T) {
	s := zktest.Start(t)
	b := startBroker(t, s, 0)
	s.Put("/brokers/topics/bad", []byte("{"))
	s.Put("/brokers/ids/9", []byte(strings.Repeat("x", 1000)))
	s.Put("/admin/reassign_partitions", []byte("[]"))
	s.Put("/admin/preferred_replica_election", []byte("7"))
	s.Put("/isr_change_notification/isr_change_0000000000", []byte("x"))
	c := control(t, b, nil)
	s.Put("/log_dir_event_notification/log_dir_event_0000000000", []byte("{}"))
	s.Put("/isr_change_notification/isr_change_0000000001", []byte("x"))
	if _, err := b.client.CreateTopic("t", map[int32][]int32{0: {0}}, nil); err != nil {
		t.Fatal(err)
	}
	b.awaitLeader(tp{Topic: "t"}, 0)
	s.Put("/brokers/topics/t", []byte("garbage"))
	s.Put("/brokers/topics/bad", []byte(`{"version":1,"partitions":{"0":[0]}}`))
	if _, err := b.client.CreateTopic("u", map[int32][]int32{0: {0}}, nil); err != nil {
		t.Fatal(err)
	}
	b.awaitLeader(tp{Topic: "u"}, 0)
	b.awaitLeader(tp{Topic: "bad"}, 0) // repaired
	if !c.Active() || c.Epoch() != 1 {
		t.Errorf("active %v, epoch %d", c.Active(), c.Epoch())
	}
	if _, ok := s.Get("/log_dir_event_notification/log_dir_event_0000000000"); ok {
		t.Error("a notification is left")
	}
}

func mustGet(t *testing.T, s *zktest.Server, path string) []byte {
	t.Helper()
	data, ok := s.Get(path)
	if !ok {
		t.Fatalf("%s is missing", path)
	}
	return data
}

func TestControlledShutdown(t *testing.T) {
	_, bs, c := three(t)
	moves, stays := tp{Topic: "moves"}, tp{Topic: "stays"}
	for topic, replicas := range map[string][]int32{"moves": {1, 2}, "stays": {1}} {
		if _, err := bs[0].client.CreateTopic(topic, map[int32][]int32{0: replicas}, nil); err != nil {
			t.Fatal(err)
		}
	}
	bs[1].awaitLeader(moves, 1)
	bs[1].awaitLeader(stays, 1)
	ask := func(broker int32, epoch int64) (protocol.ErrorCode, int) {
		r := kmsg.NewControlledShutdownRequest()
		r.Version, r.BrokerID, r.BrokerEpoch = 3, broker, epoch
		resp := c.ControlledShutdown(t.Context(), &r)
		return protocol.ErrorCode(resp.ErrorCode), len(resp.PartitionsRemaining)
	}
	if code, _ := ask(1, bs[1].epoch()-1); code != protocol.StaleBrokerEpoch {
		t.Errorf("stale: %v", code)
	}
	if code, _ := ask(9, -1); code != protocol.BrokerNotAvailable {
		t.Errorf("unknown: %v", code)
	}
	if code, _ := ask(9, 1); code != protocol.UnknownServerError {
		t.Errorf("unknown with an epoch: %v", code)
	}
	if code, left := ask(1, bs[1].epoch()); code != protocol.None || left != 0 {
		t.Errorf("%v, %d partitions left", code, left)
	}
	bs[2].awaitLeader(moves, 2)
	bs[2].await("the ISR without the leaving broker", func(b *fakeBroker) bool { return slices.Equal(b.leading[moves].ISR, []int32{2}) })
}

func TestLogDirFailure(t *testing.T) {
	_, bs, _ := three(t)
	p := tp{Topic: "t"}
	if _, err := bs[0].client.CreateTopic("t", map[int32][]int32{0: {1, 0}, 1: {1, 0}}, nil); err != nil {
		t.Fatal(err)
	}
	bs[0].awaitLeader(p, 1)
	bs[0].awaitLeader(tp{Topic: "t", Partition: 1}, 1)
	bs[1].mu.Lock()
	bs[1].errors[p] = protocol.KafkaStorageError
	bs[1].mu.Unlock()
	if err := bs[1].client.NotifyLogDirFailure(1); err != nil {
		t.Fatal(err)
	}
	bs[0].awaitLeader(p, 0)
	bs[0].await("the replica to be offline", func(b *fakeBroker) bool { return slices.Equal(b.metadata[p].OfflineReplicas, []int32{1}) })
	bs[0].mu.Lock()
	defer bs[0].mu.Unlock()
	if l := bs[0].metadata[tp{Topic: "t", Partition: 1}].Leader; l != 1 {
		t.Errorf("a partition in a good directory moved to %d", l)
	}
}

// TestFailover: another broker takes over what the dead controller knew, and the old one cannot write any more.
func TestFailover(t *testing.T) {
	_, bs, first := three(t)
	second := control(t, bs[1], nil)
	if second.Active() || second.ID() != 0 || second.Epoch() != 1 {
		t.Fatalf("active %v, controller %d, epoch %d", second.Active(), second.ID(), second.Epoch())
	}
	r := kmsg.NewAllocateProducerIDsRequest()
	if resp := second.AllocateProducerIDs(t.Context(), &r); protocol.ErrorCode(resp.ErrorCode) != protocol.NotController {
		t.Errorf("a bystander answers %+v", resp)
	}
	p := tp{Topic: "t"}
	if _, err := bs[0].client.CreateTopic("t", map[int32][]int32{0: {0, 1, 2}}, nil); err != nil {
		t.Fatal(err)
	}
	bs[1].awaitLeader(p, 0)
	first.Stop()
	bs[0].die()
	eventually(t, "the second term", func() bool { return second.Active() })
	bs[2].awaitLeader(p, 1)
	if second.Epoch() != 2 || second.ID() != 1 {
		t.Errorf("controller %d, epoch %d", second.ID(), second.Epoch())
	}
}

// TestSessionExpiry: the controller resigns and is elected again in its new session; its broker is bounced.
func TestSessionExpiry(t *testing.T) {
	s := zktest.Start(t)
	b := startBroker(t, s, 0)
	var c *Controller
	b.client.OnSession(func() {
		b.register()
		c.Reregistered()
	})
	c = control(t, b, nil)
	p := tp{Topic: "t"}
	if _, err := b.client.CreateTopic("t", map[int32][]int32{0: {0}}, nil); err != nil {
		t.Fatal(err)
	}
	b.awaitLeader(p, 0)
	s.Expire(b.client.SessionID())
	eventually(t, "the second term", func() bool { return c.Active() && c.Epoch() == 2 })
	if _, err := b.client.CreateTopic("u", map[int32][]int32{0: {0}}, nil); err != nil {
		t.Fatal(err)
	}
	b.awaitLeader(tp{Topic: "u"}, 0)
}

// An election that began before a session expired may be won in the next one: the expiry is news of the session before.
func TestExpiryBeforeElection(t *testing.T) {
	_, _, c := one(t, nil)
	c.events.pushFront(expired{})
	elected, ok := call(t.Context(), c, func() (bool, error) { return c.elected, nil })
	if !ok || !elected || !c.Active() {
		t.Error("a controller whose session lives has resigned, and nobody is elected in its place")
	}
}

// lostSession is a client whose session is known to be gone as soon as the test says so.
type lostSession struct {
	*zk.Client
	lost atomic.Bool
}

func (l *lostSession) Lost(zk.Fence) bool { return l.lost.Load() }

// countingLink takes requests and answers none.
type countingLink struct{ sent *atomic.Int32 }

func (l countingLink) Send(kmsg.Request) { l.sent.Add(1) }
func (l countingLink) Close()            {}

// What an event reads in the next session is not told to brokers in the name of the term that has ended.
func TestNothingSentAfterExpiry(t *testing.T) {
	s := zktest.Start(t)
	b := startBroker(t, s, 0)
	client := &lostSession{Client: b.client}
	var sent atomic.Int32
	c := New(Config{BrokerID: 0, BrokerEpoch: b.epoch, InterBrokerListener: "PLAINTEXT", DeleteTopicEnable: func() bool { return true },
		UncleanLeaderElection: func(string) bool { return false }, Logger: quiet,
		Connect: func(zk.Broker, func(kmsg.Request, kmsg.Response)) (Link, error) { return countingLink{&sent}, nil }}, client)
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	defer c.Stop()
	tell := func() int32 {
		before := sent.Load()
		if _, ok := call(t.Context(), c, func() (int, error) { c.sendMetadata([]int32{0}); return 0, nil }); !ok {
			t.Fatal("no answer")
		}
		return sent.Load() - before
	}
	if n := tell(); n != 1 {
		t.Errorf("%d requests were sent in a term, not 1", n)
	}
	client.lost.Store(true)
	if n := tell(); n != 0 {
		t.Errorf("%d requests were sent after the term", n)
	}
}

func TestSmallRPCs(t *testing.T) {
	_, b, c := one(t, nil)
	r := kmsg.NewAllocateProducerIDsRequest()
	r.BrokerID, r.BrokerEpoch = 0, b.epoch()
	for _, want := range []int64{0, 1000} {
		if resp := c.AllocateProducerIDs(t.Context(), &r); resp.ErrorCode != 0 || resp.ProducerIDStart != want || resp.ProducerIDLen != 1000 {
			t.Errorf("block %+v, want start %d", resp, want)
		}
	}
	r.BrokerEpoch--
	if resp := c.AllocateProducerIDs(t.Context(), &r); protocol.ErrorCode(resp.ErrorCode) != protocol.StaleBrokerEpoch {
		t.Errorf("%+v", resp)
	}
	r.BrokerID = 5
	if resp := c.AllocateProducerIDs(t.Context(), &r); protocol.ErrorCode(resp.ErrorCode) != protocol.BrokerIDNotRegistered {
		t.Errorf("%+v", resp)
	}
	f := kmsg.NewUpdateFeaturesRequest()
	f.FeatureUpdates = []kmsg.UpdateFeaturesRequestFeatureUpdate{{Feature: "x", MaxVersionLevel: 1}}
	if resp := c.UpdateFeatures(t.Context(), &f); len(resp.Results) != 1 || protocol.ErrorCode(resp.Results[0].ErrorCode) != protocol.InvalidRequest {
		t.Errorf("%+v", resp)
	}
	f.FeatureUpdates = nil
	if resp := c.UpdateFeatures(t.Context(), &f); resp.ErrorCode != 0 || len(resp.Results) != 0 {
		t.Errorf("no update: %+v", resp)
	}
	c.Stop()
	if resp := c.AllocateProducerIDs(t.Context(), &r); protocol.ErrorCode(resp.ErrorCode) != protocol.NotController {
		t.Errorf("after Stop: %+v", resp)
	}
	if id, err := b.client.Controller(); id != -1 || err != nil {
		t.Errorf("/controller after Stop: %d, %v", id, err)
	}
}

func TestAssignReplicas(t *testing.T) {
	plain := []BrokerPlace{{ID: 0}, {ID: 1}, {ID: 2}, {ID: 3}, {ID: 4}}
	got, err := AssignReplicas(plain, 10, 3, 0, 0)
	want := map[int32][]int32{0: {0, 1, 2}, 1: {1, 2, 3}, 2: {2, 3, 4}, 3: {3, 4, 0}, 4: {4, 0, 1},
		5: {0, 2, 3}, 6: {1, 3, 4}, 7: {2, 4, 0}, 8: {3, 0, 1}, 9: {4, 1, 2}} // AdminUtils' own example
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("without racks: %v, %v", got, err)
	}
	racks := []BrokerPlace{{0, "r1"}, {1, "r3"}, {2, "r3"}, {3, "r2"}, {4, "r2"}, {5, "r1"}}
	got, err = AssignReplicas(racks, 7, 3, 0, 0)
	want = map[int32][]int32{0: {0, 3, 1}, 1: {3, 1, 5}, 2: {1, 5, 4}, 3: {5, 4, 2}, 4: {4, 2, 0}, 5: {2, 0, 3}, 6: {0, 4, 2}}
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("with racks: %v, %v", got, err)
	}
	if got, err := AssignReplicas([]BrokerPlace{{ID: 7}}, 2, 1, -1, 3); err != nil || !reflect.DeepEqual(got, map[int32][]int32{3: {7}, 4: {7}}) {
		t.Errorf("one broker: %v, %v", got, err)
	}
	for _, bad := range [][2]int{{0, 1}, {1, 0}, {1, 6}} {
		if _, err := AssignReplicas(plain, bad[0], bad[1], 0, 0); err == nil {
			t.Errorf("%v is accepted", bad)
		}
	}
}
