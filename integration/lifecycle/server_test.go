package lifecycle

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"gregor/integration/harness"
)

func start(t *testing.T, settings ...string) *harness.Broker {
	t.Helper()
	return harness.StartBroker(t, harness.DefaultKind(), harness.SharedZooKeeper(t).Chroot(), settings...)
}

// TestStartAndStop: the lines that people grep for, the znodes, a prompt and clean end.
func TestStartAndStop(t *testing.T) {
	zk := harness.StartZooKeeper(t)
	connect := zk.Chroot() + "/deeper"
	b := harness.StartBroker(t, harness.DefaultKind(), connect, "no.such.key=1")
	log := b.Log()
	lines := []string{`Awaiting socket connections on`, `Cluster ID = [A-Za-z0-9_-]{22}`}
	if b.Kind == harness.Gregor {
		lines = append(lines, `WARN .*no\.such\.key`) // Apache Kafka's broker says nothing of keys that it does not know
	}
	for _, line := range lines {
		if !regexp.MustCompile(line).MatchString(log) {
			t.Errorf("the log has no line like %q", line)
		}
	}
	if n := len(harness.Started.FindAllString(log, -1)); n != 1 {
		t.Errorf("the started line stands %d times in the log", n)
	}
	dump, err := zk.FourLetterWord("dump")
	if err != nil {
		t.Fatal(err)
	}
	_, chroot, _ := strings.Cut(connect, "/")
	for _, node := range []string{"/brokers/ids/0", "/controller"} {
		if !strings.Contains(dump, "/"+chroot+node+"\n") {
			t.Errorf("ZooKeeper's dump has no /%s%s:\n%s", chroot, node, dump)
		}
	}
	registration(t, harness.ZooKeeperTree(t, connect), b)

	began := time.Now()
	b.Signal(syscall.SIGTERM)
	code := b.Wait(30 * time.Second)
	if b.Kind == harness.Gregor {
		if took := time.Since(began); code != 0 || took > 2*time.Second {
			t.Errorf("SIGTERM: exit code %d after %v, want 0 within 2 s", code, took)
		}
	}
	if !strings.Contains(b.Log(), "shut down completed (kafka.server.KafkaServer)") {
		t.Error("the log does not say that the shutdown completed")
	}
	if _, err := os.Stat(filepath.Join(b.LogDir, ".kafka_cleanshutdown")); err != nil {
		t.Error(err)
	}
	if harness.ZooKeeperTree(t, connect).Exists("/brokers/ids/0") {
		t.Error("the broker's znode outlived it")
	}
}

// registration wants /brokers/ids/0 to be what Apache Kafka writes.
func registration(t *testing.T, tree *harness.Tree, b *harness.Broker) {
	t.Helper()
	data, stat := tree.Get("/brokers/ids/0")
	var got map[string]any
	if err := json.Unmarshal([]byte(data), &got); err != nil {
		t.Fatalf("%v in %s", err, data)
	}
	host, port, _ := strings.Cut(b.Addr, ":")
	want := map[string]string{
		"version": "5", "host": host, "port": port, "jmx_port": "-1", "endpoints": "[PLAINTEXT://" + b.Addr + "]",
		"listener_security_protocol_map": "map[PLAINTEXT:PLAINTEXT]", "features": "map[]",
	}
	for key, value := range want {
		if text := strings.TrimSuffix(fmt.Sprintf("%v", number(got[key])), ".0"); text != value {
			t.Errorf("%s of the registration is %s, want %s", key, text, value)
		}
	}
	if len(got) != len(want)+1 { // and the timestamp
		t.Errorf("the registration has other keys than Kafka's: %s", data)
	}
	if stat.EphemeralOwner == 0 || stat.Version != 1 {
		t.Errorf("the znode's owner is %d, its version %d; want an ephemeral of version 1", stat.EphemeralOwner, stat.Version)
	}
}

// number shows JSON's floating-point numbers as the integers they are.
func number(v any) any {
	if f, ok := v.(float64); ok {
		return int64(f)
	}
	return v
}

// TestSeveralListeners wants every listener to accept when the started line is printed, and each to advertise its own address.
func TestSeveralListeners(t *testing.T) {
	other := harness.NewBroker(t, harness.DefaultKind(), "unused") // for its free port
	b := harness.NewBroker(t, harness.DefaultKind(), harness.SharedZooKeeper(t).Chroot())
	b.Set["listeners"] = "INSIDE://" + b.Addr + ",OUTSIDE://" + other.Addr
	b.Set["listener.security.protocol.map"] = "INSIDE:PLAINTEXT,OUTSIDE:PLAINTEXT"
	b.Set["inter.broker.listener.name"] = "INSIDE"
	b.Start()
	b.CreateTopic("t", 1, nil)
	for _, addr := range []string{b.Addr, other.Addr} {
		client := b.Client(kgo.SeedBrokers(addr), kgo.DefaultProduceTopic("t"))
		harness.Produce(t, client, kgo.StringRecord("through "+addr))
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		brokers, err := kadm.NewClient(client).ListBrokers(ctx)
		cancel()
		if err != nil || len(brokers) != 1 {
			t.Fatalf("brokers: %v, %v", brokers, err)
		}
		if got := fmt.Sprintf("%s:%d", brokers[0].Host, brokers[0].Port); got != addr {
			t.Errorf("a client of %s is sent to %s", addr, got)
		}
	}
	b.Stop()
}

// TestLockedDirectory: a second broker on the same log directory ends with Kafka's message.
func TestLockedDirectory(t *testing.T) {
	b := start(t)
	second := harness.NewBroker(t, b.Kind, b.Connect, "log.dirs="+b.LogDir)
	second.Launch()
	if code := second.Wait(30 * time.Second); code != 1 {
		t.Errorf("exit code %d, want 1", code)
	}
	if want := "Failed to acquire lock on file .lock in " + b.LogDir; !strings.Contains(second.Log(), want) {
		t.Errorf("the log does not say %q", want)
	}
	b.Stop()
}

// TestSameBrokerID: a second broker with the id of a living one does not start, and leaves the first alone.
func TestSameBrokerID(t *testing.T) {
	b := start(t)
	second := harness.NewBroker(t, b.Kind, b.Connect)
	second.Launch()
	if code := second.Wait(60 * time.Second); code == 0 {
		t.Error("the second broker ended with exit code 0")
	}
	b.CreateTopic("t", 1, nil)
	b.Stop()
}

// TestClusterIDMismatch: a log directory of another cluster is refused, by the names of the file and of the znode.
func TestClusterIDMismatch(t *testing.T) {
	b := start(t)
	b.Stop()
	tree := harness.ZooKeeperTree(t, b.Connect)
	tree.Set("/cluster/id", `{"version":"1","id":"AAAAAAAAAAAAAAAAAAAAAA"}`)
	b.Launch()
	if code := b.Wait(30 * time.Second); code != 1 {
		t.Errorf("exit code %d, want 1", code)
	}
	says := []string{"AAAAAAAAAAAAAAAAAAAAAA", "meta.properties"}
	if b.Kind == harness.Gregor {
		says = append(says, "/cluster/id")
	}
	for _, part := range says {
		if !strings.Contains(b.Log(), part) {
			t.Errorf("the log does not name %s", part)
		}
	}
}

// TestSecondSignal: whoever presses Ctrl-C twice means it.
func TestSecondSignal(t *testing.T) {
	if harness.DefaultKind() == harness.Apache {
		t.Log("a JVM ends with 130 at the first already; nothing to compare")
		return
	}
	zk := harness.StartZooKeeper(t)
	b := harness.StartBroker(t, harness.Gregor, zk.Chroot(), "zookeeper.session.timeout.ms=30000")
	zk.Pause(t) // the session cannot be closed now, so that the first signal takes its time
	defer zk.Resume(t)
	b.Signal(syscall.SIGINT)
	if err := b.WaitLog(regexp.MustCompile(`Terminating process due to signal SIGINT|shutting down`), 10*time.Second); err != nil {
		t.Fatal(err)
	}
	b.Signal(syscall.SIGINT)
	if code := b.Wait(5 * time.Second); code != 1 {
		t.Errorf("exit code %d, want 1", code)
	}
}
