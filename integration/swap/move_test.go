package swap

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"gregor/integration/harness"
)

// TestMoveAcrossKinds kills a broker while a log moves to its second directory: the other kind goes on with the move, and then the first takes over what lies there.
func TestMoveAcrossKinds(t *testing.T) {
	subject := harness.DefaultKind()
	for _, order := range [][2]harness.Kind{{subject, harness.Apache}, {harness.Apache, subject}, {subject, subject}} {
		t.Run(fmt.Sprintf("%s, then %s", order[0], order[1]), func(t *testing.T) { moveAcross(t, order) })
	}
}

func moveAcross(t *testing.T, order [2]harness.Kind) {
	b := harness.NewBroker(t, order[0], harness.SharedZooKeeper(t).Chroot(), "zookeeper.session.timeout.ms=6000")
	first, second := b.LogDir, b.LogDir+"2"
	b.Set["log.dirs"] = first
	b.Start()
	b.CreateTopic("moved", 1, map[string]string{"segment.bytes": "400000"})
	var written []string
	add := func() {
		t.Helper()
		var records []*kgo.Record
		for range 60 {
			value := fmt.Sprintf("%d %s", len(written), strings.Repeat("x", 20_000))
			written = append(written, value)
			records = append(records, &kgo.Record{Topic: "moved", Value: []byte(value)})
		}
		harness.Produce(t, b.Client(kgo.ProducerBatchCompression(kgo.NoCompression()), kgo.ProducerBatchMaxBytes(100_000)), records...)
	}
	check := func(when string) {
		t.Helper()
		b.AwaitTopics("moved")
		got := b.ReadAll("moved")[0]
		for i, r := range got {
			if i >= len(written) || string(r.Value) != written[i] || r.Offset != int64(i) {
				t.Fatalf("%s: record %d has offset %d and begins with %.10q", when, i, r.Offset, r.Value)
			}
		}
		if len(got) != len(written) {
			t.Fatalf("%s: %d records, want %d", when, len(got), len(written))
		}
	}
	add()
	add()
	b.Stop()
	b.Set["log.dirs"] = first + "," + second
	b.Start()
	b.AwaitTopics("moved")
	setMoveRate(t, b, "50000") // lets the first mebibyte through, and then nothing for a while
	if err := moveLog(b, "moved", second); err != nil {
		t.Fatal(err)
	}
	harness.Eventually(t, 30*time.Second, func() error {
		if size := bytesIn(second, "moved-0.*-future"); size == 0 {
			return fmt.Errorf("nothing is copied to %s", second)
		}
		return nil
	})
	add()
	b.Kill()
	b.AwaitUnregistered()

	b.Kind = order[1]
	b.Start()
	check("after the kill")
	add()
	setMoveRate(t, b, "900000000")
	harness.Eventually(t, time.Minute, func() error {
		if here, there := bytesIn(first, "moved-0"), bytesIn(second, "moved-0"); here > 0 || there == 0 {
			return fmt.Errorf("%d bytes in the first directory, %d in the second", here, there)
		}
		return nil
	})
	check("after the move")
	add()
	b.Kill()
	b.AwaitUnregistered()

	b.Kind = order[0]
	b.Start()
	check("back again")
	add()
	check("back again, after adding")
	if here := bytesIn(first, "moved-0"); here > 0 {
		t.Errorf("%d bytes are in the first directory again", here)
	}
	b.Stop()
}

// moveLog asks for partition 0 of a topic to move.
func moveLog(b *harness.Broker, topic, dir string) error {
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	req := kadm.AlterReplicaLogDirsReq{}
	req.Add(dir, kadm.TopicsSet{topic: {0: {}}})
	answers, err := kadm.NewClient(b.Client()).AlterBrokerReplicaLogDirs(ctx, 0, req)
	if err != nil {
		return err
	}
	for _, topics := range answers {
		for _, answer := range topics {
			if answer.Err != nil {
				return answer.Err
			}
		}
	}
	return nil
}

// setMoveRate sets the quota of copying between log directories, in bytes per second.
func setMoveRate(t *testing.T, b *harness.Broker, rate string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	altered, err := kadm.NewClient(b.Client()).AlterBrokerConfigs(ctx, []kadm.AlterConfig{{Op: kadm.SetConfig, Name: "replica.alter.log.dirs.io.max.bytes.per.second", Value: &rate}}, 0)
	if err != nil || altered[0].Err != nil {
		t.Fatalf("%v, %+v", err, altered)
	}
}

// bytesIn is the size of the segments in directories of a log directory.
func bytesIn(logDir, pattern string) (bytes int64) {
	paths, _ := filepath.Glob(filepath.Join(logDir, pattern, "*.log"))
	for _, path := range paths {
		if st, err := os.Stat(path); err == nil {
			bytes += st.Size()
		}
	}
	return bytes
}
