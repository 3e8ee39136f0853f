// Package swap shows that gregor and Apache Kafka take over from each other on the same directory, server.properties and
// ZooKeeper: everything that one wrote, the other serves, adds to, and hands back.
package swap

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"gregor/integration/harness"
)

func TestMain(m *testing.M) { os.Exit(harness.Main(m)) }

// TestSwap hands a directory from one kind to the other and back, after clean stops and after kill -9.
func TestSwap(t *testing.T) {
	subject := harness.DefaultKind()
	for _, order := range [][3]harness.Kind{
		{harness.Apache, subject, harness.Apache},
		{subject, harness.Apache, subject},
	} {
		for _, end := range []string{"clean", "killed"} {
			t.Run(fmt.Sprintf("%s first, %s", order[0], end), func(t *testing.T) {
				swap(t, order, end == "killed")
			})
		}
	}
}

// house is one directory with what was put into it so far.
type house struct {
	t       *testing.T
	broker  *harness.Broker
	written map[string][]string // topic → values in offset order (one partition each)
	writers map[string]*kgo.Client
	ids     map[string]string // topic → topic id
	read    int               // how many records of topic "none" the group has committed
}

// codecs are the topics, one per codec, and their producers' compression.
var codecs = map[string]kgo.CompressionCodec{
	"none": kgo.NoCompression(), "gzip": kgo.GzipCompression(), "snappy": kgo.SnappyCompression(), "lz4": kgo.Lz4Compression(), "zstd": kgo.ZstdCompression(),
}

func swap(t *testing.T, order [3]harness.Kind, killed bool) {
	b := harness.NewBroker(t, order[0], harness.SharedZooKeeper(t).Chroot(), "zookeeper.session.timeout.ms=6000")
	h := &house{t: t, broker: b, written: map[string][]string{}, writers: map[string]*kgo.Client{}, ids: map[string]string{}}
	for phase, kind := range order {
		b.Kind = kind
		b.Start()
		if phase == 0 {
			h.build()
		}
		h.check(fmt.Sprintf("phase %d (%s)", phase, kind))
		h.add(phase)
		h.check(fmt.Sprintf("phase %d (%s), after adding", phase, kind))
		if killed && phase < 2 {
			b.Kill()
			b.AwaitUnregistered()
			continue
		}
		b.Stop()
		h.dump()
	}
}

// build makes the topics. Segments are small, so that there are several of each.
func (h *house) build() {
	for topic, codec := range codecs {
		h.broker.CreateTopic(topic, 1, map[string]string{"segment.bytes": "3000", "index.interval.bytes": "200"})
		// The client lives through every swap: its producer id and sequence numbers go on where they were.
		h.writers[topic] = h.broker.Client(kgo.ProducerBatchCompression(codec), kgo.ProducerLinger(0))
	}
	h.broker.CreateTopic("doomed", 3, nil)
}

// add writes to every topic, moves the group on, changes a config and deletes a topic.
func (h *house) add(phase int) {
	for topic := range codecs {
		for batch := range 10 {
			var records []*kgo.Record
			for i := range 5 {
				value := fmt.Sprintf("%s phase %d batch %d record %d %s", topic, phase, batch, i, strings.Repeat("x", 100))
				h.written[topic] = append(h.written[topic], value)
				records = append(records, &kgo.Record{Topic: topic, Key: []byte("key"), Value: []byte(value),
					Headers: []kgo.RecordHeader{{Key: "phase", Value: []byte{byte(phase)}}}})
			}
			harness.Produce(h.t, h.writers[topic], records...)
		}
	}
	h.consumeInGroup()
	admin := kadm.NewClient(h.broker.Client())
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	if phase == 1 {
		if _, err := admin.DeleteTopic(ctx, "doomed"); err != nil {
			h.t.Errorf("deleting: %v", err)
		}
	}
	value := fmt.Sprint(3000 + phase)
	altered, err := admin.AlterTopicConfigs(ctx, []kadm.AlterConfig{{Op: kadm.SetConfig, Name: "segment.bytes", Value: &value}}, "none")
	if err != nil || altered[0].Err != nil {
		h.t.Errorf("altering: %v, %v", err, altered)
	}
}

// consumeInGroup reads 20 records as a member of the group, from where it was, and commits.
func (h *house) consumeInGroup() {
	client := h.broker.Client(kgo.ConsumerGroup("group"), kgo.ConsumeTopics("none"), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), kgo.DisableAutoCommit())
	defer client.Close()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	for got := 0; got < 20; {
		fetches := client.PollRecords(ctx, 20-got)
		if err := fetches.Err(); err != nil {
			h.t.Fatal(err)
		}
		for _, r := range fetches.Records() {
			if r.Offset != int64(h.read) {
				h.t.Fatalf("the group goes on at offset %d, want %d", r.Offset, h.read)
			}
			h.read, got = h.read+1, got+1
		}
		if err := client.CommitRecords(ctx, fetches.Records()...); err != nil {
			h.t.Fatal(err)
		}
	}
}

// check wants everything that was ever written to be there, once, in order, with the topics' ids as they were.
func (h *house) check(when string) {
	h.t.Helper()
	for topic := range codecs {
		h.broker.AwaitTopics(topic)
		var got []string
		for _, r := range h.broker.ReadAll(topic)[0] {
			got = append(got, string(r.Value))
			if string(r.Key) != "key" || len(r.Headers) != 1 || !strings.Contains(string(r.Value), fmt.Sprintf("phase %d", r.Headers[0].Value[0])) {
				h.t.Fatalf("%s: %s offset %d has key %q, headers %v", when, topic, r.Offset, r.Key, r.Headers)
			}
		}
		if !slices.Equal(got, h.written[topic]) {
			h.t.Fatalf("%s: %s holds %d records, not the %d that were written", when, topic, len(got), len(h.written[topic]))
		}
	}
	admin := kadm.NewClient(h.broker.Client())
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	topics, err := admin.ListTopics(ctx)
	if err != nil {
		h.t.Fatal(err)
	}
	for topic := range codecs {
		id := topics[topic].ID.String()
		if was, known := h.ids[topic]; known && was != id {
			h.t.Errorf("%s: the id of %s was %s and is %s", when, topic, was, id)
		}
		h.ids[topic] = id
	}
	harness.Eventually(h.t, 30*time.Second, func() error { return h.committed(admin) })
}

func (h *house) committed(admin *kadm.Client) error {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	if h.read == 0 {
		return nil
	}
	offsets, err := admin.FetchOffsets(ctx, "group")
	if err = errors.Join(err, offsets.Error()); err != nil {
		return err
	}
	if offset, ok := offsets.Lookup("none", 0); !ok || offset.At != int64(h.read) {
		return fmt.Errorf("the group's offset is %v, want %d", offset.At, h.read)
	}
	return nil
}

var complaints = regexp.MustCompile(`(?i)mismatch|non-consecutive|isvalid: false|exception|corrupt|not found|error|invalid|out of order`)

// dump has Apache Kafka's own tool look at every file of the stopped broker.
func (h *house) dump() {
	for _, kind := range []string{"log", "index", "timeindex", "snapshot"} {
		files, err := filepath.Glob(filepath.Join(h.broker.LogDir, "*", "*."+kind))
		if err != nil {
			h.t.Fatal(err)
		}
		if len(files) == 0 && kind != "snapshot" {
			h.t.Fatalf("no %s files in %s", kind, h.broker.LogDir)
		}
		if len(files) == 0 {
			continue
		}
		args := []string{"--files", strings.Join(files, ",")}
		switch kind {
		case "log":
			args = append(args, "--deep-iteration")
		case "index", "timeindex":
			args = append(args, "--index-sanity-check")
		}
		printed := harness.Tool(h.t, "", "dump-log", args...)
		if complaint := complaints.FindString(printed); complaint != "" {
			h.t.Errorf("dump-log of %s files complains (%q):\n%.4000s", kind, complaint, printed)
		}
	}
}
