package broker

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"gregor/broker/config"
	"gregor/broker/logging"
	"gregor/storage"
	"gregor/zk/zktest"
)

// A stop ends every goroutine, closes every file and connection, and takes the registration out of ZooKeeper; a second start finds everything again.
func TestStopAndStartAgain(t *testing.T) {
	before := len(goroutines())
	zk := zktest.Start(t)
	props := properties(t, zk, nil)
	r, err := tryBroker(t, zk, props)
	if err != nil {
		t.Fatal(err)
	}
	if _, registered := zk.Get("/brokers/ids/0"); !registered {
		t.Fatal("not registered after the start")
	}
	id := r.createTopic("t", 3)
	c := r.dial()
	c.produced("t", 2, "a", "b")
	parked := r.dial()
	wait := fetchPartitions("t", 1)
	wait.MaxWaitMillis = 60_000
	parked.send(wait)
	idle := r.dial()
	idle.alive()
	if err := r.Shutdown(); err != nil {
		t.Fatal(err)
	}
	parked.closed()
	idle.closed()
	if _, registered := zk.Get("/brokers/ids/0"); registered {
		t.Error("still registered after the stop")
	}
	if files := openFiles(t, props["log.dirs"]); len(files) > 0 {
		t.Errorf("open files: %v", files)
	}
	eventually(t, "the end of all goroutines", func() bool { return len(goroutines()) <= before })
	if err := r.Shutdown(); err != nil {
		t.Errorf("a second stop: %v", err)
	}

	if r, err = tryBroker(t, zk, props); err != nil {
		t.Fatal(err)
	}
	eventually(t, "leadership", func() bool { return r.leads("t", 2) })
	resp := ask[*kmsg.FetchResponse](r.dial(), fetchPartitions("t", 3))
	if got := recordValues(t, resp.Topics[0].Partitions[2].RecordBatches); fmt.Sprint(got) != "[0:a 1:b]" {
		t.Errorf("after a restart: %v", got)
	}
	eventually(t, "the topic's id in the metadata", func() bool { name, _ := r.metadata.TopicName(id); return name == "t" })
}

// What a start settles about identity: each case is a change of log directory or configuration before a second start.
func TestIdentity(t *testing.T) {
	meta := func(dir string) string { return filepath.Join(dir, "meta.properties") }
	for _, tc := range []struct {
		name   string
		before func(t *testing.T, zk *zktest.Server, props map[string]string)
		id     int32
		fails  []string // what the message names
	}{
		{name: "the same", before: func(*testing.T, *zktest.Server, map[string]string) {}, id: 7},
		{name: "id from meta.properties", before: func(_ *testing.T, _ *zktest.Server, props map[string]string) { delete(props, "broker.id") }, id: 7},
		{name: "another id", before: func(_ *testing.T, _ *zktest.Server, props map[string]string) { props["broker.id"] = "8" },
			fails: []string{"broker.id 8", "broker.id 7", "meta.properties"}},
		{name: "another cluster", before: func(_ *testing.T, zk *zktest.Server, _ map[string]string) {
			zk.Put("/cluster/id", []byte(`{"version":"1","id":"AAAAAAAAAAAAAAAAAAAAAA"}`))
		}, fails: []string{"AAAAAAAAAAAAAAAAAAAAAA", "/cluster/id", "meta.properties", "zookeeper.connect"}},
		{name: "directories of two brokers", before: func(t *testing.T, _ *zktest.Server, props map[string]string) {
			text, err := os.ReadFile(meta(props["log.dirs"]))
			if err != nil {
				t.Fatal(err)
			}
			dir := t.TempDir()
			if err := os.WriteFile(meta(dir), []byte(strings.ReplaceAll(string(text), "broker.id=7", "broker.id=9")), 0o644); err != nil {
				t.Fatal(err)
			}
			props["log.dirs"] += "," + dir
			delete(props, "broker.id")
		}, fails: []string{"broker.id", "7", "9", "meta.properties"}},
		{name: "a new directory is written", before: func(t *testing.T, _ *zktest.Server, props map[string]string) {
			props["log.dirs"] += "," + t.TempDir()
		}, id: 7},
	} {
		t.Run(tc.name, func(t *testing.T) {
			zk := zktest.Start(t)
			props := properties(t, zk, map[string]string{"broker.id": "7"})
			r, err := tryBroker(t, zk, props)
			if err != nil {
				t.Fatal(err)
			}
			if err := r.Shutdown(); err != nil {
				t.Fatal(err)
			}
			tc.before(t, zk, props)
			r, err = tryBroker(t, zk, props)
			if len(tc.fails) > 0 {
				if err == nil {
					t.Fatal("started")
				}
				for _, part := range tc.fails {
					if !strings.Contains(err.Error(), part) {
						t.Errorf("%q does not name %q", err, part)
					}
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			for _, dir := range strings.Split(props["log.dirs"], ",") {
				text, err := os.ReadFile(meta(dir))
				if err != nil || !strings.Contains(string(text), "broker.id="+strconv.Itoa(int(tc.id))) || !strings.Contains(string(text), "cluster.id="+r.clusterID) {
					t.Errorf("%s: %s, %v", meta(dir), text, err)
				}
			}
			if _, ok := zk.Get("/brokers/ids/" + strconv.Itoa(int(tc.id))); !ok || r.id != tc.id {
				t.Errorf("id %d, registered: %v", r.id, ok)
			}
		})
	}
}

// Without broker.id the next one above reserved.broker.max.id is taken, and kept.
func TestGeneratedID(t *testing.T) {
	zk := zktest.Start(t)
	for _, want := range []int32{1001, 1002} {
		props := properties(t, zk, nil)
		delete(props, "broker.id")
		for range 2 {
			r, err := tryBroker(t, zk, props)
			if err != nil {
				t.Fatal(err)
			}
			if r.id != want {
				t.Fatalf("id %d, want %d", r.id, want)
			}
			if err := r.Shutdown(); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// A start that fails at any step leaves nothing behind: no goroutine, no lock, no registration. A second start then succeeds.
func TestFailingStart(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	for _, tc := range []struct {
		name   string
		change func(t *testing.T, zk *zktest.Server, props map[string]string)
		want   string
	}{
		{"no ZooKeeper", func(_ *testing.T, zk *zktest.Server, props map[string]string) {
			props["zookeeper.connect"], props["zookeeper.connection.timeout.ms"] = taken.Addr().String(), "300"
		}, "ZooKeeper"},
		{"port taken", func(_ *testing.T, _ *zktest.Server, props map[string]string) {
			props["listeners"] = "PLAINTEXT://127.0.0.1:0,SECOND://" + taken.Addr().String()
			props["listener.security.protocol.map"], props["advertised.listeners"] = "PLAINTEXT:PLAINTEXT,SECOND:PLAINTEXT", "PLAINTEXT://127.0.0.1:19"
		}, taken.Addr().String()},
		{"log directory in use", func(t *testing.T, zk *zktest.Server, props map[string]string) {
			props["log.dirs"] = t.TempDir()
			other, err := storage.Open(storage.ManagerConfig{Dirs: []string{props["log.dirs"]}})
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { other.Close(false) })
		}, "is using this directory"},
		{"log directory is a file", func(t *testing.T, _ *zktest.Server, props map[string]string) {
			file := filepath.Join(t.TempDir(), "file")
			if err := os.WriteFile(file, nil, 0o644); err != nil {
				t.Fatal(err)
			}
			props["log.dirs"] = file
		}, "none of the specified log dirs"},
		{"broker id taken", func(t *testing.T, zk *zktest.Server, props map[string]string) {
			zk.Put("/brokers/ids/0", []byte(`{"version":5,"host":"h","port":9092,"endpoints":["PLAINTEXT://h:9092"],"jmx_port":-1,"timestamp":"1"}`))
		}, "/brokers/ids/0"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			zk := zktest.Start(t)
			props := properties(t, zk, nil)
			good := props["log.dirs"]
			tc.change(t, zk, props)
			before := len(goroutines())
			_, err := tryBroker(t, zk, props)
			if err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Fatalf("%v; want it to name %q", err, tc.want)
			}
			eventually(t, "the end of all goroutines", func() bool { return len(goroutines()) <= before })
			if files := openFiles(t, good); len(files) > 0 {
				t.Errorf("open files: %v", files)
			}
			elsewhere := zktest.Start(t) // the failed start has not claimed the directory for its cluster and id
			r, err := tryBroker(t, elsewhere, properties(t, elsewhere, map[string]string{"log.dirs": good, "broker.id": "3"}))
			if err != nil {
				t.Fatalf("the second start: %v", err)
			}
			r.dial().alive()
		})
	}
}

// A start whose context ends stops what it started.
func TestInterruptedStart(t *testing.T) {
	silent, err := net.Listen("tcp", "127.0.0.1:0") // takes connections and never answers
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	before := len(goroutines())
	cfg, _, err := config.NewStatic(map[string]string{"zookeeper.connect": silent.Addr().String(), "broker.id": "0", "log.dirs": t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	time.AfterFunc(50*time.Millisecond, cancel)
	if _, err := Start(ctx, cfg, logging.New(&logText{}, 0)); !errors.Is(err, context.Canceled) {
		t.Errorf("the start ended with %v", err)
	}
	eventually(t, "the end of all goroutines", func() bool { return len(goroutines()) <= before })
}

// Requests are answered while the first election goes on: a controller of many partitions reads for long.
func TestServesDuringElection(t *testing.T) {
	free, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := free.Addr().String()
	free.Close()
	zk := zktest.Start(t)
	release := zk.Hold(t, "/admin/reassign_partitions")
	started := make(chan error, 1)
	go func() {
		_, err := tryBroker(t, zk, properties(t, zk, map[string]string{"listeners": "PLAINTEXT://" + addr}))
		started <- err
	}()
	early := dialing(t, addr)
	early.alive()
	select {
	case err := <-started:
		t.Fatalf("the start has ended (%v) although the controller knows nothing yet", err)
	default:
	}
	release()
	if err := <-started; err != nil {
		t.Fatal(err)
	}
	early.alive()
}

// dialing connects to an address as soon as somebody listens there.
func dialing(t *testing.T, addr string) *client {
	t.Helper()
	var nc net.Conn
	eventually(t, "a listener on "+addr, func() (ok bool) {
		var err error
		nc, err = net.Dial("tcp", addr)
		return err == nil
	})
	t.Cleanup(func() { nc.Close() })
	if err := nc.SetDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	return &client{Conn: nc, t: t}
}

// When its ZooKeeper session expires, a broker registers again with a new epoch, is controller again, and goes on serving.
func TestSessionExpiry(t *testing.T) {
	r := startBroker(t, nil)
	r.createTopic("t", 1)
	c := r.dial()
	c.produced("t", 0, "before")
	old := r.epoch.Load()
	r.zk.Expire(r.Broker.zk.SessionID())
	eventually(t, "registration with a new epoch", func() bool {
		_, registered := r.zk.Get("/brokers/ids/0")
		return registered && r.epoch.Load() > old
	})
	eventually(t, "a controller", func() bool { _, ok := r.zk.Get("/controller"); return ok })
	if got := c.produced("t", 0, "after"); got != 1 {
		t.Errorf("offset %d after the session was replaced", got)
	}
	eventually(t, "leadership of the controller", r.controller.Active)
	r.createTopic("u", 1)
	r.dial().produced("u", 0, "x")
}

// A broker whose log directories have all failed says so; one that has another one left goes on.
func TestLogDirsFail(t *testing.T) {
	root := t.TempDir()
	a, b := filepath.Join(root, "a"), filepath.Join(root, "b")
	r := startBroker(t, map[string]string{"log.dirs": a + "," + b})
	r.createTopic("t", 2)
	c := r.dial()
	for p := range int32(2) {
		c.produced("t", p, "x")
	}
	breakDir := func(dir string) {
		t.Helper()
		if err := errors.Join(os.RemoveAll(dir), os.WriteFile(dir, nil, 0o644)); err != nil {
			t.Fatal(err)
		}
	}
	breakDir(a)
	// A new log goes to the directory with the fewest; one of two new topics meets the broken one, and both live in the other.
	r.createTopic("u", 1)
	r.createTopic("v", 1)
	c.produced("u", 0, "x")
	c.produced("v", 0, "x")
	eventually(t, "the failed directory's partition to be offline", func() bool {
		codes := map[int16]int{}
		for p := range int32(2) {
			codes[ask[*kmsg.ProduceResponse](c, produceTo("t", p, 1, values("y"))).Topics[0].Partitions[0].ErrorCode]++
		}
		return codes[0] == 1 && codes[0]+codes[56]+codes[6] == 2
	})
	select {
	case err := <-r.Failed():
		t.Fatalf("failed with a directory left: %v", err)
	default:
	}
	breakDir(b)
	r.replicas.Partitions()[0].Log().Flush()
	req := kmsg.NewPtrCreateTopicsRequest()
	req.Version, req.TimeoutMillis = 7, 100
	topic := kmsg.NewCreateTopicsRequestTopic()
	topic.Topic, topic.NumPartitions, topic.ReplicationFactor = "w", 1, 1
	req.Topics = append(req.Topics, topic)
	c.send(req)
	select {
	case err := <-r.Failed():
		if !strings.Contains(err.Error(), "all log dirs have failed") {
			t.Errorf("failed with %v", err)
		}
	case <-time.After(patience):
		t.Error("no word that all log directories have failed")
	}
}

// TestFeaturesEpoch: clients are told the version of /feature, and -1 while features are disabled (KIP-584).
func TestFeaturesEpoch(t *testing.T) {
	r := startBroker(t, nil)
	if got := r.featureEpoch.Load(); got != 0 {
		t.Errorf("a new cluster: epoch %d", got)
	}
	r.zk.Put("/feature", []byte(`{"features":{},"version":1,"status":0}`))
	eventually(t, "disabled features", func() bool { return r.featureEpoch.Load() == -1 })
	r.zk.Put("/feature", []byte(`{"features":{},"version":2,"status":1}`))
	eventually(t, "enabled features", func() bool { return r.featureEpoch.Load() == 2 })
	older := startBroker(t, map[string]string{"inter.broker.protocol.version": "2.6"})
	if data, _ := older.zk.Get("/feature"); older.featureEpoch.Load() != -1 || string(data) != `{"features":{},"version":1,"status":0}` {
		t.Errorf("before 2.7: epoch %d, %s", older.featureEpoch.Load(), data)
	}
}
