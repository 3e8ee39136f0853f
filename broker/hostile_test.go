package broker

import (
	"bytes"
	"compress/gzip"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"net"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"gregor/protocol"
)

// How much more memory than before hostile clients may make this process use, and floods of good requests, whose answers the test itself decodes.
const (
	maxGrowth      = 96 << 20
	maxFloodGrowth = 256 << 20
)

// victim is a client that has to go on working, whatever others send.
type victim struct {
	*client
	next int64
}

func newVictim(r *running) *victim {
	r.createTopic("victim", 1)
	return &victim{client: r.dial()}
}

// works produces and fetches one record.
func (v *victim) works() {
	v.t.Helper()
	if err := v.SetDeadline(time.Now().Add(patience)); err != nil {
		v.t.Fatal(err)
	}
	value := fmt.Sprint("value ", v.next)
	if got := v.produced("victim", 0, value); got != v.next {
		v.t.Fatalf("the victim's record %d got offset %d", v.next, got)
	}
	req := fetchPartitions("victim", 1)
	req.Topics[0].Partitions[0].FetchOffset = v.next
	got := recordValues(v.t, ask[*kmsg.FetchResponse](v.client, req).Topics[0].Partitions[0].RecordBatches)
	if len(got) != 1 || got[0] != fmt.Sprintf("%d:%s", v.next, value) {
		v.t.Fatalf("the victim reads %v", got)
	}
	v.next++
}

// watchMemory samples the heap until the function it returns is called, which fails the test when it grew too much.
func watchMemory(t *testing.T, limit uint64) func() {
	t.Helper()
	if raceEnabled {
		return func() {} // the race detector's own memory counts
	}
	inUse := func() uint64 {
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return m.HeapInuse + m.StackInuse
	}
	runtime.GC()
	before := inUse()
	stop, peak := make(chan struct{}), before
	var sampler sync.WaitGroup
	sampler.Go(func() {
		tick := time.NewTicker(5 * time.Millisecond)
		defer tick.Stop()
		for {
			peak = max(peak, inUse())
			select {
			case <-stop:
				return
			case <-tick.C:
			}
		}
	})
	return func() {
		t.Helper()
		close(stop)
		sampler.Wait()
		t.Logf("memory grew by %d KiB at most", (peak-before)>>10)
		if peak-before > limit {
			t.Errorf("memory grew by %d MiB", (peak-before)>>20)
		}
	}
}

// raw is a frame of a header v1 for an API, with the client id "x", and body; patched says what its size field claims instead of the truth.
func raw(key, version int16, body ...byte) []byte {
	b := []byte{0, 0, 0, 0}
	b = binary.BigEndian.AppendUint16(b, uint16(key))
	b = binary.BigEndian.AppendUint16(b, uint16(version))
	b = append(b, 0, 0, 0, 1, 0, 1, 'x')
	b = append(b, body...)
	binary.BigEndian.PutUint32(b, uint32(len(b)-4))
	return b
}

// Bytes after which nothing can be answered: the connection closes, at once and without a byte.
func TestHostileBytes(t *testing.T) {
	r := startBroker(t, nil)
	v := newVictim(r)
	defer watchMemory(t, maxGrowth)()
	huge := []byte{0x7f, 0xff, 0xff, 0xff}
	for name, data := range map[string][]byte{
		"size -1":                          {0xff, 0xff, 0xff, 0xff},
		"size 0":                           {0, 0, 0, 0},
		"size 2^31-1":                      huge,
		"size 100 MiB + 1":                 {0x06, 0x40, 0, 1},
		"TLS hello":                        {0x16, 3, 1, 2, 0, 1, 0, 1, 0xfc, 3, 3},
		"HTTP":                             []byte("GET / HTTP/1.1\r\nHost: x\r\n\r\n"),
		"a header cut short":               {0, 0, 0, 3, 0, 3, 0},
		"unknown key":                      raw(1000, 0),
		"negative key":                     raw(-1, 0),
		"version above":                    raw(3, 99),
		"version below":                    raw(3, -1),
		"client id longer than the frame":  {0, 0, 0, 11, 0, 3, 0, 0, 0, 0, 0, 1, 0x7f, 0xff, 'x'},
		"header tags without end":          raw(3, 12, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff),
		"header tag longer than the frame": raw(3, 12, 1, 0, 0xff, 0xff, 0xff, 0xff, 7),
		"2^31-1 topics":                    raw(3, 1, huge...),
		"2^32-2 topics, compact":           raw(3, 12, 0, 0xff, 0xff, 0xff, 0xff, 0x0f, 0),
		"array length without end":         raw(3, 12, 0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff),
		"string longer than the frame":     raw(3, 1, 0, 0, 0, 1, 0x7f, 0xff, 'x'),
		"null topic name":                  raw(3, 1, 0, 0, 0, 1, 0xff, 0xff),
		"2^31-1 produce topics":            raw(0, 3, append([]byte{0xff, 0xff, 0, 1, 0, 0, 0, 9}, huge...)...),
		"records longer than the frame":    raw(0, 3, append([]byte{0xff, 0xff, 0, 1, 0, 0, 0, 9, 0, 0, 0, 1, 0, 1, 't', 0, 0, 0, 1, 0, 0, 0, 0}, huge...)...),
		"2^31-1 fetch topics":              raw(1, 4, append([]byte{0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 1, 0}, huge...)...),
		"group metadata of 2 GiB":          raw(11, 0, append([]byte{0, 1, 'g', 0, 0, 0, 9, 0, 0, 0, 1, 'c', 0, 0, 0, 1, 0, 1, 'r'}, huge...)...),
		"a request without its body":       raw(12, 0),
	} {
		c := r.dial()
		if _, err := c.Write(data); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if strings.HasPrefix(name, "size 2^31") || strings.HasPrefix(name, "size 100") {
			c.Write(make([]byte, 100)) // the broker may have closed already
		}
		t.Run(name, func(t *testing.T) { expectClosed(t, c) })
		v.works()
	}
}

// Unusual and yet good: answered.
func TestUnusualHeaders(t *testing.T) {
	r := startBroker(t, nil)
	v := newVictim(r)
	for name, data := range map[string][]byte{
		"null client id":             {0, 0, 0, 14, 0, 3, 0, 0, 0, 0, 0, 1, 0xff, 0xff, 0, 0, 0, 0},
		"client id of 30,000 bytes":  longClientID(30000),
		"unknown header tags":        raw(3, 12, 2, 5, 1, 'a', 9, 0, 1, 1, 0, 0),
		"the same tag twice":         raw(3, 12, 2, 5, 1, 'a', 5, 1, 'b', 1, 1, 0, 0),
		"bytes after the body":       raw(3, 0, 0, 0, 0, 0, 'm', 'o', 'r', 'e'),
		"ApiVersions 99 with a body": raw(18, 99, 0, 1, 2, 3),
		"ApiVersions -1":             raw(18, -1),
	} {
		t.Run(name, func(t *testing.T) {
			c := r.dial()
			if _, err := c.Write(data); err != nil {
				t.Fatal(err)
			}
			if got := readCorrelation(t, c); got != 1 {
				t.Errorf("answer %d", got)
			}
			c.alive()
		})
		v.works()
	}
}

func longClientID(n int) []byte {
	b := []byte{0, 0, 0, 0, 0, 3, 0, 0, 0, 0, 0, 1}
	b = binary.BigEndian.AppendUint16(b, uint16(n))
	b = append(b, bytes.Repeat([]byte{'c'}, n)...)
	b = append(b, 0, 0, 0, 0)
	binary.BigEndian.PutUint32(b, uint32(len(b)-4))
	return b
}

// Sizes that nothing comes of: connections that claim the largest frame reserve no more than what they send is worth.
func TestClaimedSizes(t *testing.T) {
	r := startBroker(t, nil)
	v := newVictim(r)
	check := watchMemory(t, maxGrowth)
	for range 40 {
		for _, sent := range []int{8, 140 << 10} {
			c := r.dial()
			if _, err := c.Write(append([]byte{0x06, 0x40, 0, 0}, make([]byte, sent)...)); err != nil {
				t.Fatal(err)
			}
		}
	}
	for range 10 {
		v.works()
	}
	check()
}

// reseal makes a batch's checksum right again.
func reseal(b []byte) []byte {
	binary.BigEndian.PutUint32(b[17:], crc32.Checksum(b[21:], crc32.MakeTable(crc32.Castagnoli)))
	return b
}

// Record sets that are no batch, or not what they say: their code, and nothing in the log.
func TestHostileBatches(t *testing.T) {
	r := startBroker(t, nil)
	r.createTopic("t", 1)
	v := newVictim(r)
	defer watchMemory(t, maxGrowth)()
	c := r.dial()
	change := func(at int, to ...byte) []byte {
		b := values("a", "b")
		copy(b[at:], to)
		return b
	}
	sealed := func(at int, to ...byte) []byte { return reseal(change(at, to...)) }
	unpacked := 256 << 20
	if raceEnabled {
		unpacked = 16 << 20 // the race detector makes unpacking slow
	}
	bomb := gzipBomb(t, unpacked)
	for _, tc := range []struct {
		name string
		set  []byte
		want protocol.ErrorCode
	}{
		{"no records", []byte{}, protocol.InvalidRecord},
		{"half a batch", values("a")[:40], protocol.InvalidRecord},
		{"two batches", append(values("a"), values("b")...), protocol.InvalidRecord},
		{"bad CRC", change(70, 'X'), protocol.CorruptMessage},
		{"negative length", change(8, 0xff, 0xff, 0xff, 0xff), protocol.CorruptMessage},
		{"length beyond the end", change(8, 0x7f, 0xff, 0xff, 0xff), protocol.InvalidRecord},
		{"magic 3", change(16, 3), protocol.CorruptMessage},
		{"magic 1", change(16, 1), protocol.InvalidRecord},
		{"base offset 5", change(0, 0, 0, 0, 0, 0, 0, 0, 5), protocol.InvalidRecord},
		{"more records than there are", sealed(57, 0, 0, 0, 3), protocol.InvalidRecord},
		{"2^31-1 records", sealed(57, 0x7f, 0xff, 0xff, 0xff), protocol.InvalidRecord},
		{"-1 records", sealed(57, 0xff, 0xff, 0xff, 0xff), protocol.InvalidRecord},
		{"last offset delta 9", sealed(23, 0, 0, 0, 9), protocol.InvalidRecord},
		{"control batch", sealed(21, 0, 0x20), protocol.InvalidRecord},
		{"codec 7", sealed(21, 0, 7), protocol.UnknownServerError},
		{"gzip that is none", sealed(21, 0, 1), protocol.UnknownServerError},
		{"snappy that is none", sealed(21, 0, 2), protocol.UnknownServerError},
		{"lz4 that is none", sealed(21, 0, 3), protocol.UnknownServerError},
		{"zstd that is none", sealed(21, 0, 4), protocol.UnknownServerError},
		{"gzip bomb", bomb, -2},
	} {
		p := ask[*kmsg.ProduceResponse](c, produceTo("t", 0, 1, tc.set)).Topics[0].Partitions[0]
		got := protocol.ErrorCode(p.ErrorCode)
		if tc.want == -2 && got != protocol.None || got == tc.want {
			v.works()
			continue
		}
		t.Errorf("%s: %v, want %v", tc.name, got, tc.want)
	}
	if p := ask[*kmsg.FetchResponse](c, fetchPartitions("t", 1)).Topics[0].Partitions[0]; p.HighWatermark != 0 {
		t.Errorf("%d records were written", p.HighWatermark)
	}
}

// gzipBomb is a batch that claims one record in a payload which unpacks to n zero bytes.
func gzipBomb(t *testing.T, n int) []byte {
	t.Helper()
	var packed bytes.Buffer
	w := gzip.NewWriter(&packed)
	head := binary.AppendVarint(nil, int64(n-10)) // the record's length
	head = append(head, 0, 0, 0, 1)               // attributes, deltas, null key
	head = binary.AppendVarint(head, int64(n-20)) // the value's length
	if _, err := w.Write(head); err != nil {
		t.Fatal(err)
	}
	zeros := make([]byte, 1<<20)
	for range n >> 20 {
		if _, err := w.Write(zeros); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	b := append(values("a")[:61], packed.Bytes()...)
	binary.BigEndian.PutUint32(b[8:], uint32(len(b)-12))
	b[22] = 1 // gzip
	return reseal(b)
}

// Floods of good requests: what they leave behind is bounded, and others go on.
func TestFloods(t *testing.T) {
	r := startBroker(t, map[string]string{"max.incremental.fetch.session.cache.slots": "50"})
	r.createTopic("t", 1)
	v := newVictim(r)
	defer watchMemory(t, maxFloodGrowth)()
	c := r.dial()
	if err := c.SetDeadline(time.Now().Add(6 * patience)); err != nil { // a few thousand requests, one by one
		t.Fatal(err)
	}

	for range 500 { // sessions that nobody comes back to
		req := fetchPartitions("t", 1)
		req.SessionEpoch = 0
		ask[*kmsg.FetchResponse](c, req)
	}
	r.sessions.mu.Lock()
	if n := len(r.sessions.mu.byID); n > 50 {
		t.Errorf("%d fetch sessions in 50 slots", n)
	}
	r.sessions.mu.Unlock()
	v.works()

	many := fetchPartitions("t", 100_000) // of which all but one do not exist
	if resp := ask[*kmsg.FetchResponse](c, many); len(resp.Topics[0].Partitions) != 100_000 {
		t.Errorf("%d partitions answered", len(resp.Topics[0].Partitions))
	}
	v.works()

	metadata := kmsg.NewPtrMetadataRequest()
	metadata.Version = 4 // without auto-creation
	for i := range 20_000 {
		metadata.Topics = append(metadata.Topics, kmsg.MetadataRequestTopic{Topic: kmsg.StringPtr(fmt.Sprint("none-", i))})
	}
	if resp := ask[*kmsg.MetadataResponse](c, metadata); len(resp.Topics) != 20_000 {
		t.Errorf("%d topics answered", len(resp.Topics))
	}
	v.works()

	for range 2000 {
		init := kmsg.NewPtrInitProducerIDRequest()
		init.Version = 4
		ask[*kmsg.InitProducerIDResponse](c, init)
	}
	v.works()

	find := kmsg.NewPtrFindCoordinatorRequest()
	find.CoordinatorKey = "g"
	eventually(t, "a coordinator", func() bool { return ask[*kmsg.FindCoordinatorResponse](c, find).ErrorCode == 0 })
	for i := range 1000 { // each is told to come again with a member id, and does not
		join := kmsg.NewPtrJoinGroupRequest()
		join.Version, join.Group, join.ProtocolType = 5, fmt.Sprint("g", i%10), "consumer"
		join.SessionTimeoutMillis, join.RebalanceTimeoutMillis = 6000, 6000
		join.Protocols = []kmsg.JoinGroupRequestProtocol{{Name: "range", Metadata: make([]byte, 10_000)}}
		ask[*kmsg.JoinGroupResponse](c, join)
	}
	v.works()

	for range 300 { // connections that come and go
		nc, err := net.Dial("tcp", r.Addr("PLAINTEXT"))
		if err != nil {
			t.Fatal(err)
		}
		nc.Close()
	}
	v.works()
}
