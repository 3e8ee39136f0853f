package storage

import (
	"bytes"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"gregor/protocol/record"
)

// randomSet makes a batch such as clients send: mostly good, some of producers that resend, skip and change epochs, some broken.
func randomSet(rng *rand.Rand) []byte {
	ts := 1700000000000 + rng.Int64N(200)
	var b record.Batch
	switch rng.IntN(10) {
	case 0, 1, 2:
		b = batch(1+rng.IntN(5), rng.IntN(400), ts)
	case 3:
		b = batch(1, 700+rng.IntN(300), ts+rng.Int64N(3000))
	case 4:
		b = batch(1, 1500, ts) // larger than max.message.bytes
	case 5:
		b = batch(1, 10, ts)
		b[len(b)-1]++ // the checksum is wrong
	case 6:
		b = batch(1, 10, ts)
		return b[:len(b)-1]
	default:
		b = idempotent(rng.Int64N(2), int16(rng.IntN(60)/59), int32(rng.IntN(6)), 1+rng.IntN(2))
	}
	return b
}

// describe is what an append came to, errors by their text.
func describe(a *Append) string {
	if a.Err != nil {
		return a.Err.Error()
	}
	return fmt.Sprintf("%+v epoch %d", a.AppendResult, a.LeaderEpoch)
}

// Batches that come together leave the same answers and the same files, byte for byte, as the same batches one after the other: rolls by size and by age, producers,
// resends and errors included.
func TestAppendAllIsAppendsOneByOne(t *testing.T) {
	for seed := range uint64(30) {
		rng := rand.New(rand.NewPCG(seed, 7))
		small := func(c *LogConfig) {
			c.SegmentBytes, c.IndexIntervalBytes, c.MaxMessageBytes = 4000, 300, 1400
			c.SegmentMs = []int64{150, 604800000}[seed%2]
		}
		single, grouped := newRig(t, 1, small), newRig(t, 1, small)
		one, all := single.log(), grouped.log()
		var sets [][]byte
		for range 150 {
			sets = append(sets, randomSet(rng))
		}
		for epoch := int32(0); len(sets) > 0; epoch += int32(rng.IntN(2)) {
			n := min(1+rng.IntN(12), len(sets))
			var together []Append
			for _, set := range sets[:n] {
				together = append(together, Append{Set: slices.Clone(set)})
			}
			all.AppendAllAsLeader(together, epoch, FromClient)
			for i, set := range sets[:n] {
				alone := []Append{{Set: slices.Clone(set)}}
				one.AppendAllAsLeader(alone, epoch, FromClient)
				if want, got := describe(&alone[0]), describe(&together[i]); got != want {
					t.Fatalf("seed %d: batch %d of %d: %s, alone %s", seed, i, n, got, want)
				}
			}
			sets = sets[n:]
		}
		single.restart()
		grouped.restart()
		expectSameFiles(t, single.partition(), grouped.partition())
	}
}

// expectSameFiles compares two partitions' directories, but for their metadata.
func expectSameFiles(t *testing.T, want, got string) {
	t.Helper()
	a, b := contents(t, want), contents(t, got)
	for name := range a {
		if !bytes.Equal(a[name], b[name]) {
			t.Errorf("%s: %d bytes that differ from the %d of single appends", name, len(b[name]), len(a[name]))
		}
		delete(b, name)
	}
	for name := range b {
		t.Errorf("%s is there only after grouped appends", name)
	}
}

func contents(t *testing.T, dir string) map[string][]byte {
	t.Helper()
	files := map[string][]byte{}
	err := filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() || e.Name() == partitionMetadataFile {
			return err
		}
		data, err := os.ReadFile(path)
		files[e.Name()] = data
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

// Batches of one partition that come together cost one write for eight of them, whatever their size, and no allocation.
func TestAppendAllWritesOnce(t *testing.T) {
	l := newRig(t, 1, nil).log()
	fill(t, l, 1)
	template := batch(3, 300, 1700000000000)
	group := make([]Append, maxVectors)
	for i := range group {
		group[i].Set = slices.Clone(template)
	}
	appendGroup := func() {
		for i := range group {
			copy(group[i].Set, template)
		}
		l.AppendAllAsLeader(group, 0, FromClient)
		for i := range group {
			if group[i].Err != nil {
				t.Fatal(group[i].Err)
			}
		}
	}
	appendGroup()
	if writes := threadWrites(t, appendGroup); writes != 1 {
		t.Errorf("%d writes for %d batches", writes, len(group))
	}
	for range 300 {
		appendGroup()
	}
	expectNoAllocs(t, "append of eight", appendGroup)
}

// threadWrites counts the writing system calls that fn makes on its own thread.
func threadWrites(t *testing.T, fn func()) int {
	t.Helper()
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	before := syscw(t)
	fn()
	return syscw(t) - before
}

func syscw(t *testing.T) int {
	t.Helper()
	data, err := os.ReadFile("/proc/thread-self/io")
	if err != nil {
		t.Fatal(err)
	}
	var n int
	_, counters, _ := strings.Cut(string(data), "syscw: ")
	if _, err := fmt.Sscan(counters, &n); err != nil {
		t.Fatal(err)
	}
	return n
}

// writeAll goes on behind whatever part the kernel took.
func TestWriteAll(t *testing.T) {
	f, err := os.Create(filepath.Join(t.TempDir(), "f"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var pieces [][]byte
	var want []byte
	for i := range 3*maxVectors + 1 {
		p := bytes.Repeat([]byte{byte(i)}, i*i)
		pieces, want = append(pieces, p), append(want, p...)
	}
	if err := writeAll(f, pieces, 5); err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile(f.Name())
	if err != nil || !bytes.Equal(got[5:], want) {
		t.Errorf("%d bytes instead of %d, %v", len(got), len(want)+5, err)
	}
	if err := writeAll(f, [][]byte{{1}, {2}}, -1); err == nil {
		t.Error("a write that cannot be succeeded")
	}
}
