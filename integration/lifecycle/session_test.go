package lifecycle

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"gregor/integration/harness"
)

// TestQuickRestart restarts a killed broker while the znode of its former life still stands.
func TestQuickRestart(t *testing.T) {
	if harness.DefaultKind() == harness.Apache {
		t.Log("Apache Kafka refuses to start then; gregor waits for the old session to end")
		return
	}
	b := start(t, "zookeeper.session.timeout.ms=4000")
	b.CreateTopic("t", 1, nil)
	tree := harness.ZooKeeperTree(t, b.Connect)
	_, before := tree.Get("/brokers/ids/0")
	b.Kill()
	if !tree.Exists("/brokers/ids/0") {
		t.Fatal("the znode went at once; this tests nothing")
	}
	b.Start()
	if _, after := tree.Get("/brokers/ids/0"); after.EphemeralOwner == before.EphemeralOwner {
		t.Error("the broker started with the znode of its former session")
	}
	b.AwaitTopics("t")
	harness.Produce(t, b.Client(kgo.DefaultProduceTopic("t")), kgo.StringRecord("after"))
	b.Stop()
}

// TestSessionExpiry stops the process for longer than its session may last, and lets it go on.
func TestSessionExpiry(t *testing.T) {
	b := start(t, "zookeeper.session.timeout.ms=1500")
	b.CreateTopic("t", 1, nil)
	client := b.Client(kgo.DefaultProduceTopic("t"))
	harness.Produce(t, client, kgo.StringRecord("before"))
	tree := harness.ZooKeeperTree(t, b.Connect)
	_, before := tree.Get("/brokers/ids/0")
	b.Signal(syscall.SIGSTOP)
	b.AwaitUnregistered()
	b.Signal(syscall.SIGCONT)
	harness.Eventually(t, 30*time.Second, func() error {
		if !tree.Exists("/brokers/ids/0") || !tree.Exists("/controller") {
			return fmt.Errorf("not registered again")
		}
		return nil
	})
	if _, after := tree.Get("/brokers/ids/0"); after.EphemeralOwner == before.EphemeralOwner || after.Czxid <= before.Czxid {
		t.Errorf("registered with owner %x, czxid %d; before: %x, %d", after.EphemeralOwner, after.Czxid, before.EphemeralOwner, before.Czxid)
	}
	b.CreateTopic("later", 1, nil)
	harness.Produce(t, client, kgo.StringRecord("after"))
	if got := len(b.ReadAll("t")[0]); got != 2 {
		t.Errorf("%d records, want 2", got)
	}
	b.Stop()
}

// TestZooKeeperAway: the ensemble being unreachable for a while is nothing that clients notice.
func TestZooKeeperAway(t *testing.T) {
	zk := harness.StartZooKeeper(t)
	b := harness.StartBroker(t, harness.DefaultKind(), zk.Chroot(), "zookeeper.session.timeout.ms=20000")
	b.CreateTopic("t", 1, nil)
	client := b.Client(kgo.DefaultProduceTopic("t"))
	harness.Produce(t, client, kgo.StringRecord("with ZooKeeper")) // gets the producer its id, which takes ZooKeeper
	zk.Pause(t)
	harness.Produce(t, client, kgo.StringRecord("without ZooKeeper"))
	zk.Resume(t)
	b.CreateTopic("later", 1, nil)
	b.Stop()
}

// TestFullDisk gives one of two log directories a disk that fills up. The directory goes offline, the broker and its other
// directory stay. The disk is 8 MiB of memory, mounted in a namespace that only the broker's process lives in.
func TestFullDisk(t *testing.T) {
	b := harness.NewBroker(t, harness.DefaultKind(), harness.SharedZooKeeper(t).Chroot())
	small, good := filepath.Join(b.Dir, "small"), filepath.Join(b.Dir, "good")
	if err := os.Mkdir(small, 0o755); err != nil {
		t.Fatal(err)
	}
	b.Prefix = []string{"unshare", "--user", "--map-root-user", "--mount", "sh", "-c", `mount -t tmpfs -o size=8m tmpfs "$0" && exec "$@"`, small}
	b.Set["log.index.size.max.bytes"] = "4096"
	b.Set["log.dirs"] = small + "," + good
	b.Start()
	for i := range 4 {
		b.CreateTopic(fmt.Sprintf("t%d", i), 1, nil)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 60*time.Second)
	defer cancel()
	client := b.Client(kgo.ProducerBatchCompression(kgo.NoCompression()), kgo.RecordRetries(3), kgo.RecordDeliveryTimeout(5*time.Second))
	value := []byte(strings.Repeat("x", 500_000))
	failed, fine := map[string]bool{}, map[string]bool{}
	for range 20 {
		for i := range 4 {
			topic := fmt.Sprintf("t%d", i)
			if failed[topic] {
				continue
			}
			if err := client.ProduceSync(ctx, &kgo.Record{Topic: topic, Value: value}).FirstErr(); err != nil {
				failed[topic] = true
			}
		}
	}
	for i := range 4 {
		topic := fmt.Sprintf("t%d", i)
		if err := client.ProduceSync(ctx, &kgo.Record{Topic: topic, Value: []byte("small")}).FirstErr(); err == nil {
			fine[topic] = true
		}
	}
	if len(failed) == 0 || len(fine) == 0 || len(failed)+len(fine) != 4 {
		t.Errorf("failed: %v, fine: %v; want the topics of the full directory to fail and the others to go on", failed, fine)
	}
	if err := b.WaitLog(regexp.MustCompile(regexp.QuoteMeta(small)+`.*(offline|failed)|(?i)(offline|failed|stopping serving).*`+regexp.QuoteMeta(small)), 10*time.Second); err != nil {
		t.Error(err)
	}
	for topic := range fine {
		if got := len(b.ReadAll(topic)[0]); got < 21 {
			t.Errorf("%s holds %d records, want 21", topic, got)
		}
	}
	if !b.Running() {
		t.Error("the broker ended")
	}
	b.Signal(syscall.SIGTERM)
	b.Wait(30 * time.Second)
}
