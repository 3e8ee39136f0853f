// Package clients lets other people's client libraries do their daily work against the broker under test: create a topic, produce with every codec
// they have, share the partitions in a group, commit, look at configs and groups, and clean up. Every test tells the same story in its library's own
// terms, so a failure says which library cannot live with the broker, and where.
package clients

import (
	"fmt"
	"os"
	"sort"
	"strings"
	"testing"
	"time"

	"gregor/integration/harness"
)

func TestMain(m *testing.M) { os.Exit(harness.Main(m)) }

// The story's figures: a topic of partitions, and records per codec.
const (
	partitions = 3
	perCodec   = 60
	limit      = 60 * time.Second // for any step
)

// received is one record as a consumer saw it.
type received struct {
	partition  int32
	offset     int64
	key, value string
	header     string // value of the header "codec"
}

// key and value of the n-th record of a codec.
func key(n int) string { return fmt.Sprintf("key-%d", n%7) }
func value(codec string, n int) string {
	return fmt.Sprintf("%s-%d-%s", codec, n, strings.Repeat("v", n*5))
}

// place is where a record lies.
type place struct {
	partition int32
	offset    int64
}

// check compares what consumers received with what was produced: every record once, offsets without holes, and the records of a key in one
// partition in the order of their making. acked is where the producer was told that each value lies; nil: its library does not say so for every record.
func check(t *testing.T, codecs []string, acked map[string]place, all []received) {
	t.Helper()
	if want := len(codecs) * perCodec; len(all) != want {
		t.Errorf("received %d records, want %d", len(all), want)
	}
	sort.Slice(all, func(i, j int) bool {
		return all[i].partition < all[j].partition || all[i].partition == all[j].partition && all[i].offset < all[j].offset
	})
	next := map[int32]int64{}
	home := map[string]int32{}
	last := map[string]int{}
	position := map[string]int{}
	for c, codec := range codecs {
		for n := range perCodec {
			position[value(codec, n)] = c*perCodec + n + 1
		}
	}
	for _, r := range all {
		if r.offset != next[r.partition] {
			t.Errorf("partition %d: offset %d follows %d", r.partition, r.offset, next[r.partition]-1)
		}
		next[r.partition] = r.offset + 1
		at := position[r.value]
		if at == 0 {
			t.Errorf("a record nobody made, or the second of its kind: %q", r.value)
			continue
		}
		delete(position, r.value)
		if told, ok := acked[r.value]; acked != nil && (!ok || told != place{r.partition, r.offset}) {
			t.Errorf("%.20q came from partition %d at %d, its producer was told %+v (%v)", r.value, r.partition, r.offset, told, ok)
		}
		if codec, _, _ := strings.Cut(r.value, "-"); r.header != codec {
			t.Errorf("%.20q has the header %q", r.value, r.header)
		}
		if p, ok := home[r.key]; ok && p != r.partition {
			t.Errorf("key %s in partitions %d and %d", r.key, p, r.partition)
		}
		home[r.key] = r.partition
		if at < last[r.key] {
			t.Errorf("key %s: %.20q came late", r.key, r.value)
		}
		last[r.key] = at
	}
	for missing := range position {
		t.Errorf("%.20q is missing", missing)
		break
	}
}
