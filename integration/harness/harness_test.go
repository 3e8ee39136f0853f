package harness

import (
	"os"
	"strings"
	"testing"
)

func TestMain(m *testing.M) { os.Exit(Main(m)) }

// TestHarness shows that the pieces work on Apache Kafka itself: a broker starts, tools of three releases talk to it in their
// shared JVMs, exit codes and output arrive, the broker stops and starts again.
func TestHarness(t *testing.T) {
	zk := StartZooKeeper(t)
	b := StartBroker(t, Apache, zk.Chroot())
	Tool(t, "", "topics", "--bootstrap-server", b.Addr, "--create", "--topic", "t", "--partitions", "2")
	for _, version := range []string{"2.0.0", "3.9.2", "4.2.0"} {
		flag := "--bootstrap-server"
		if version == "2.0.0" {
			flag = "--broker-list"
		}
		produced := RunTool(t, version, "a\nb\n", "console-producer", flag, b.Addr, "--topic", "t")
		if produced.ExitCode != 0 {
			t.Fatalf("console-producer %s: %+v", version, produced)
		}
	}
	consumed := Tool(t, "", "console-consumer", "--bootstrap-server", b.Addr, "--topic", "t", "--from-beginning", "--max-messages", "6")
	if got := strings.Count(consumed, "a\n") + strings.Count(consumed, "b\n"); got != 6 {
		t.Errorf("consumed %q, want three of a and of b", consumed)
	}
	if bad := RunTool(t, "3.9.2", "", "topics", "--bootstrap-server", b.Addr, "--describe", "--topic", "missing"); bad.ExitCode != 1 {
		t.Errorf("describing a missing topic: exit code %d, want 1", bad.ExitCode)
	}
	b.Stop()
	b.Start()
	b.AwaitTopics("t")
	if got := Tool(t, "", "topics", "--bootstrap-server", b.Addr, "--list"); !strings.Contains(got, "t\n") {
		t.Errorf("after a restart the topics are %q", got)
	}
	dump, err := zk.FourLetterWord("dump")
	if err != nil || !strings.Contains(dump, "/brokers/ids/0") {
		t.Errorf("dump: %q, %v", dump, err)
	}
}
