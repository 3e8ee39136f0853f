package crash

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"gregor/integration/harness"
)

// total is how many records stand in the log before it is damaged, one batch each.
const total = 300

// TestDamage damages the files of a killed broker and says what must survive. All records were acknowledged and are in the
// files; only damage to the log itself may take any away, and then only from the damaged batch on.
func TestDamage(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name    string
		damage  func(t *testing.T, dir string) // dir is the partition's folder, its parent the log directory
		survive int                            // so many records from the start, in order
	}{
		{"nothing", func(*testing.T, string) {}, total},
		{"a torn tail", func(t *testing.T, dir string) { truncate(t, last(t, dir, ".log"), -7) }, total - 1},
		{"zeros after the tail", func(t *testing.T, dir string) { extend(t, last(t, dir, ".log"), make([]byte, 4096)) }, total},
		{"noise after the tail", func(t *testing.T, dir string) { extend(t, last(t, dir, ".log"), []byte(strings.Repeat("noise", 99))) }, total},
		{"a flipped bit in the last batch", func(t *testing.T, dir string) { flip(t, last(t, dir, ".log"), -3) }, total - 1},
		{"offset indexes deleted", func(t *testing.T, dir string) { remove(t, dir, "*.index") }, total},
		{"time indexes deleted", func(t *testing.T, dir string) { remove(t, dir, "*.timeindex") }, total},
		{"offset indexes garbled", func(t *testing.T, dir string) { garble(t, dir, "*.index") }, total},
		{"time indexes garbled", func(t *testing.T, dir string) { garble(t, dir, "*.timeindex") }, total},
		{"snapshots deleted", func(t *testing.T, dir string) { remove(t, dir, "*.snapshot") }, total},
		{"snapshots garbled", func(t *testing.T, dir string) { garble(t, dir, "*.snapshot") }, total},
		{"leader epochs deleted", func(t *testing.T, dir string) { remove(t, dir, "leader-epoch-checkpoint") }, total},
		{"recovery points deleted", func(t *testing.T, dir string) { remove(t, filepath.Dir(dir), "recovery-point-offset-checkpoint") }, total},
		{"high watermarks deleted", func(t *testing.T, dir string) {
			remove(t, filepath.Dir(dir), "replication-offset-checkpoint")
		}, total},
		{"start offsets deleted", func(t *testing.T, dir string) { remove(t, filepath.Dir(dir), "log-start-offset-checkpoint") }, total},
		{"an unfinished deletion and swap file", func(t *testing.T, dir string) {
			for _, name := range []string{"00000000000000000000.log.deleted", "00000000000000000000.index.cleaned", "00000000000000000007.timeindex.deleted"} {
				if err := os.WriteFile(filepath.Join(dir, name), []byte("left over"), 0o644); err != nil {
					t.Fatal(err)
				}
			}
		}, total},
	} {
		t.Run(c.name, func(t *testing.T) { damage(t, c.damage, c.survive) })
	}
}

func damage(t *testing.T, do func(*testing.T, string), survive int) {
	b := harness.StartBroker(t, harness.DefaultKind(), harness.SharedZooKeeper(t).Chroot(), sessionSetting())
	b.CreateTopic(topic, 1, map[string]string{"segment.bytes": "6000", "index.interval.bytes": "100"})
	client := b.Client(kgo.DefaultProduceTopic(topic))
	for n := range total {
		harness.Produce(t, client, kgo.StringRecord(fmt.Sprintf("record %03d", n)))
	}
	b.Kill()
	b.AwaitUnregistered()
	do(t, filepath.Join(b.LogDir, topic+"-0"))
	b.Start()
	b.AwaitTopics(topic)
	verifyPrefix(t, b, survive, nil)
	// The log goes on: the same producer (its sequence numbers continue, so its state must have been rebuilt), then a restart.
	if survive == total {
		harness.Produce(t, client, kgo.StringRecord("by the same producer"))
	} else {
		harness.Produce(t, b.Client(kgo.DefaultProduceTopic(topic)), kgo.StringRecord("by another producer"))
	}
	b.Stop()
	b.Start()
	b.AwaitTopics(topic)
	suffix := "by the same producer"
	if survive != total {
		suffix = "by another producer"
	}
	verifyPrefix(t, b, survive, []string{suffix})
	verifyByTime(t, b, survive)
	b.Stop()
	complain(t, b)
}

func sessionSetting() string {
	if harness.DefaultKind() == harness.Apache {
		return "zookeeper.session.timeout.ms=4000"
	}
	return "zookeeper.session.timeout.ms=1000"
}

func verifyPrefix(t *testing.T, b *harness.Broker, survive int, more []string) {
	t.Helper()
	var got, want []string
	for _, r := range b.ReadAll(topic)[0] {
		got = append(got, string(r.Value))
	}
	for n := range survive {
		want = append(want, fmt.Sprintf("record %03d", n))
	}
	if want = append(want, more...); !slices.Equal(got, want) {
		t.Fatalf("%d records, the last %q; want %d, the last %q", len(got), got[max(0, len(got)-1):], len(want), want[len(want)-1:])
	}
}

// verifyByTime looks a record up by its timestamp, which goes through the time index and the offset index.
func verifyByTime(t *testing.T, b *harness.Broker, survive int) {
	t.Helper()
	records := b.ReadAll(topic)[0]
	admin := kadm.NewClient(b.Client())
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	for _, at := range []int{0, survive / 2, survive - 1} {
		stamp := records[at].Timestamp.UnixMilli()
		first := slices.IndexFunc(records, func(r *kgo.Record) bool { return r.Timestamp.UnixMilli() >= stamp })
		listed, err := admin.ListOffsetsAfterMilli(ctx, stamp, topic)
		if err != nil {
			t.Fatal(err)
		}
		if got, _ := listed.Lookup(topic, 0); got.Err != nil || got.Offset != int64(first) {
			t.Errorf("offset at the time of record %d: %d, %v; want %d", at, got.Offset, got.Err, first)
		}
	}
}

// complain has Apache Kafka's tool check the indexes that the broker left.
func complain(t *testing.T, b *harness.Broker) {
	t.Helper()
	dir := filepath.Join(b.LogDir, topic+"-0")
	for _, kind := range []string{"index", "timeindex", "log"} {
		files, err := filepath.Glob(filepath.Join(dir, "*."+kind))
		if err != nil || len(files) == 0 {
			t.Fatalf("%s files: %v, %v", kind, files, err)
		}
		args := []string{"--files", strings.Join(files, ",")}
		if kind == "log" {
			args = append(args, "--deep-iteration")
		}
		printed := harness.Tool(t, "", "dump-log", args...)
		for _, bad := range []string{"ismatch", "on-consecutive", "xception", "isvalid: false", "out of order", "not found"} {
			if strings.Contains(printed, bad) {
				t.Errorf("dump-log of %s files says %q:\n%.3000s", kind, bad, printed)
			}
		}
	}
}

// last is the newest file with that suffix that holds anything.
func last(t *testing.T, dir, suffix string) string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "*"+suffix))
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(files)
	for _, file := range slices.Backward(files) {
		if info, err := os.Stat(file); err == nil && info.Size() > 0 {
			return file
		}
	}
	t.Fatalf("no %s file with anything in it in %s", suffix, dir)
	return ""
}

func change(t *testing.T, file string, edit func([]byte) []byte) {
	t.Helper()
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, edit(data), 0o644); err != nil {
		t.Fatal(err)
	}
}

func truncate(t *testing.T, file string, by int) {
	t.Helper()
	change(t, file, func(data []byte) []byte { return data[:len(data)+by] })
}

func extend(t *testing.T, file string, tail []byte) {
	t.Helper()
	change(t, file, func(data []byte) []byte { return append(data, tail...) })
}

func flip(t *testing.T, file string, at int) {
	t.Helper()
	change(t, file, func(data []byte) []byte { data[len(data)+at] ^= 0x10; return data })
}

// matching lists the files of a pattern; there must be some, or the case tests nothing. Snapshots are written when a segment
// rolls, checkpoints at intervals: a killed broker may not have got to the latter.
func matching(t *testing.T, dir, pattern string) []string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, pattern))
	if err != nil {
		t.Fatal(err)
	}
	if len(files) == 0 && strings.Contains(pattern, "*") {
		t.Fatalf("no %s in %s", pattern, dir)
	}
	return files
}

func remove(t *testing.T, dir, pattern string) {
	t.Helper()
	for _, file := range matching(t, dir, pattern) {
		if err := os.Remove(file); err != nil {
			t.Fatal(err)
		}
	}
}

func garble(t *testing.T, dir, pattern string) {
	t.Helper()
	for _, file := range matching(t, dir, pattern) {
		change(t, file, func(data []byte) []byte {
			for i := range data {
				data[i] ^= byte(37 * i)
			}
			return append(data, 1, 2, 3)
		})
	}
}
