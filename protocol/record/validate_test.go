package record

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"strings"
	"testing"

	"gregor/protocol"
)

const now = 1_700_000_000_000

// clientDefaults is what a topic with default configuration asks of a client's batch.
func clientDefaults() Validation {
	return Validation{
		Topic: "t", KeepProducerCodec: true, FromClient: true, NowMs: now,
		TimestampBeforeMaxMs: math.MaxInt64, TimestampAfterMaxMs: math.MaxInt64,
	}
}

// recordsOf is a readable form of a batch's records with absolute timestamps.
func recordsOf(t *testing.T, b Batch) string {
	t.Helper()
	var s strings.Builder
	err := b.Each(0, func(r Record) error {
		fmt.Fprintf(&s, "%d %d %q %t %q %t %v\n", r.OffsetDelta, b.BaseTimestamp()+r.TimestampDelta, r.Key, r.Key == nil, r.Value, r.Value == nil, r.Headers)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return s.String()
}

func TestValidatePassesBatchesThrough(t *testing.T) {
	v := clientDefaults()
	for _, c := range allCodecs {
		b := sample(c)
		before := bytes.Clone(b)
		var out Validated
		if err := Validate(b, &v, &out); err != nil {
			t.Errorf("%s: %v", c, err)
			continue
		}
		if out.Rebuilt || !bytes.Equal(out.Batch, before) {
			t.Errorf("%s: the batch changed", c)
		}
		if out.MaxTimestamp != 5000 || out.OffsetOfMaxTsDelta != 3 || out.LogAppendTimeMs != -1 {
			t.Errorf("%s: %+v", c, out)
		}
	}
}

// TestValidateRecompresses stores every codec as every other, and then as the first again.
func TestValidateRecompresses(t *testing.T) {
	want := recordsOf(t, sample(None))
	for _, from := range allCodecs {
		for _, to := range allCodecs {
			v := clientDefaults()
			v.KeepProducerCodec, v.TargetCodec = false, to
			w := sample(from)
			var out Validated
			if err := Validate(w, &v, &out); err != nil {
				t.Errorf("%s to %s: %v", from, to, err)
				continue
			}
			b := out.Batch
			if out.Rebuilt != (from != to) || b.Codec() != to || !b.VerifyCRC() || b.Count() != 5 || b.MaxTimestamp() != 5000 || b.BaseTimestamp() != 1000 {
				t.Errorf("%s to %s: %+v", from, to, out)
			}
			if _, rest, err := Split(b); err != nil || len(rest) != 0 {
				t.Errorf("%s to %s: %v", from, to, err)
			}
			if got := recordsOf(t, b); got != want {
				t.Errorf("%s to %s: other records:\n%.300s", from, to, got)
			}
		}
	}
}

func TestRebuildKeepsProducerAndTransaction(t *testing.T) {
	w := NewBuilder(Gzip)
	w.ProducerID, w.ProducerEpoch, w.BaseSequence, w.Transactional = 77, 3, 12, true
	w.Add(1, nil, []byte("v"))
	v := clientDefaults()
	v.KeepProducerCodec, v.TargetCodec, v.ZstdLevel = false, Zstd, 19
	var out Validated
	if err := Validate(w.Build(), &v, &out); err != nil {
		t.Fatal(err)
	}
	if b := out.Batch; b.ProducerID() != 77 || b.ProducerEpoch() != 3 || b.BaseSequence() != 12 || !b.Transactional() || b.Control() {
		t.Errorf("%x", b[:BatchOverhead])
	}
}

// edited changes a batch and stores its CRC anew, which a client with the same defect would do.
func edited(c Codec, edit func(b Batch)) Batch {
	w := NewBuilder(c)
	w.Add(now, []byte("k1"), []byte("v1"))
	w.Add(now+5, []byte("k2"), []byte("v2"))
	b := w.Build()
	edit(b)
	b.setCRC()
	return b
}

func put32(b []byte, v int32) { binary.BigEndian.PutUint32(b, uint32(v)) }
func put64(b []byte, v int64) { binary.BigEndian.PutUint64(b, uint64(v)) }

// TestRefusals has the answers of a running Apache Kafka 3.9.2 for defects of a whole batch: the code, and no message.
func TestRefusals(t *testing.T) {
	for _, c := range []struct {
		name  string
		batch Batch
		code  protocol.ErrorCode
	}{
		{"base offset", edited(None, func(b Batch) { b.SetBaseOffset(1) }), protocol.InvalidRecord},
		{"no records", edited(None, func(b Batch) { put32(b[countAt:], 0); put32(b[lastOffsetDeltaAt:], 0) }), protocol.InvalidRecord},
		{"negative count", edited(None, func(b Batch) { put32(b[countAt:], -2) }), protocol.InvalidRecord},
		{"negative last offset delta", edited(None, func(b Batch) { put32(b[lastOffsetDeltaAt:], -1) }), protocol.InvalidRecord},
		{"count above last offset delta", edited(None, func(b Batch) { put32(b[lastOffsetDeltaAt:], 0) }), protocol.InvalidRecord},
		{"huge count and delta", edited(None, func(b Batch) { put32(b[countAt:], math.MaxInt32); put32(b[lastOffsetDeltaAt:], math.MaxInt32-1) }), protocol.InvalidRecord},
		{"count above the records", edited(None, func(b Batch) { put32(b[countAt:], 3); put32(b[lastOffsetDeltaAt:], 2) }), protocol.InvalidRecord},
		{"count below the records", edited(None, func(b Batch) { put32(b[countAt:], 1); put32(b[lastOffsetDeltaAt:], 0) }), protocol.InvalidRecord},
		{"count above the records, gzip", edited(Gzip, func(b Batch) { put32(b[countAt:], 3); put32(b[lastOffsetDeltaAt:], 2) }), protocol.InvalidRecord},
		{"count below the records, zstd", edited(Zstd, func(b Batch) { put32(b[countAt:], 1); put32(b[lastOffsetDeltaAt:], 0) }), protocol.InvalidRecord},
		{"control bit", edited(None, func(b Batch) { b[attributesAt+1] |= controlBit }), protocol.InvalidRecord},
		{"producer without sequence", edited(None, func(b Batch) { put64(b[producerIDAt:], 5) }), protocol.InvalidRecord},
		{"record longer than its fields", edited(None, func(b Batch) { b[BatchOverhead] += 2 }), protocol.InvalidRecord},
		{"codec 5", edited(None, func(b Batch) { b[attributesAt+1] |= 5 }), protocol.UnknownServerError},
		{"codec 7", edited(None, func(b Batch) { b[attributesAt+1] |= 7 }), protocol.UnknownServerError},
		{"no gzip", edited(None, func(b Batch) { b[attributesAt+1] |= 1 }), protocol.UnknownServerError},
		{"no snappy", edited(None, func(b Batch) { b[attributesAt+1] |= 2 }), protocol.UnknownServerError},
		{"no lz4", edited(None, func(b Batch) { b[attributesAt+1] |= 3 }), protocol.UnknownServerError},
		{"no zstd", edited(None, func(b Batch) { b[attributesAt+1] |= 4 }), protocol.UnknownServerError},
		{"endless length", edited(None, func(b Batch) { copy(b[BatchOverhead:], "\xff\xff\xff\xff\xff\x00") }), protocol.UnknownServerError},
		{"cut gzip", resized(Gzip, edited(Gzip, func(Batch) {})[:BatchOverhead+30]), protocol.UnknownServerError},
		{"cut lz4", resized(LZ4, edited(LZ4, func(Batch) {})[:BatchOverhead+30]), protocol.UnknownServerError},
		{"cut zstd", resized(Zstd, edited(Zstd, func(Batch) {})[:BatchOverhead+20]), protocol.UnknownServerError},
		{"empty gzip", resized(Gzip, edited(None, func(Batch) {})[:BatchOverhead]), protocol.UnknownServerError},
		{"empty snappy", resized(Snappy, edited(None, func(Batch) {})[:BatchOverhead]), protocol.UnknownServerError},
		{"empty zstd", resized(Zstd, edited(None, func(Batch) {})[:BatchOverhead]), protocol.InvalidRecord},
		{"garbled snappy", edited(Snappy, func(b Batch) { b[BatchOverhead+16] ^= 0x40 }), protocol.UnknownServerError},
		{"crc", func() Batch { b := edited(None, func(Batch) {}); b[len(b)-2]++; return b }(), protocol.CorruptMessage},
		{"too short", Batch(make([]byte, 60)), protocol.CorruptMessage},
	} {
		v := clientDefaults()
		var out Validated
		err := Validate(c.batch, &v, &out)
		var refused *ValidationError
		if !errors.As(err, &refused) {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		if refused.Code != c.code || refused.Message != "" || refused.Records != nil || refused.Cause == "" {
			t.Errorf("%s: %+v", c.name, refused)
		}
		if !strings.Contains(err.Error(), c.code.String()) || !strings.Contains(err.Error(), refused.Cause) {
			t.Errorf("%s: %q does not say what is wrong", c.name, err)
		}
	}
}

// TestAccepted has what Kafka stores as it is sent.
func TestAccepted(t *testing.T) {
	for name, batch := range map[string]Batch{
		"offset deltas of records": edited(None, func(b Batch) { b[BatchOverhead+3] = 8 }), // offset delta 4 where 0 is due
		"unused attribute bits":    edited(None, func(b Batch) { b[attributesAt] = 0xff }),
		"delete horizon bit":       edited(None, func(b Batch) { b[attributesAt+1] |= 0x40 }),
		"record attributes":        edited(None, func(b Batch) { b[BatchOverhead+1] = 0x7f }),
		"transactional bit":        edited(None, func(b Batch) { b[attributesAt+1] |= transactionalBit }),
	} {
		v := clientDefaults()
		before := bytes.Clone(batch)
		var out Validated
		if err := Validate(batch, &v, &out); err != nil {
			t.Errorf("%s: %v", name, err)
		} else if out.Rebuilt || !bytes.Equal(out.Batch, before) {
			t.Errorf("%s: changed", name)
		}
	}
}

// repacked compresses the records of an uncompressed batch as they are.
func repacked(t *testing.T, c Codec, plain Batch) Batch {
	t.Helper()
	packed, err := appendCompressed(c, DefaultLevel, bytes.Clone(plain[:BatchOverhead]), plain[BatchOverhead:])
	if err != nil {
		t.Fatal(err)
	}
	return resized(c, packed)
}

// resized makes a header right for what is behind it.
func resized(c Codec, b Batch) Batch {
	put32(b[lengthAt:], int32(len(b)-LogOverhead))
	b[attributesAt+1] = b[attributesAt+1]&^codecMask | byte(c)
	b.setCRC()
	return b
}

// TestGapsInCompressedBatches: they are closed where the batch is rebuilt anyway, and refused where it is not.
func TestGapsInCompressedBatches(t *testing.T) {
	gap := edited(None, func(b Batch) { b[BatchOverhead+3] = 8 }) // the first record has offset delta 4
	for _, c := range allCodecs[1:] {
		v := clientDefaults()
		var out Validated
		var refused *ValidationError
		if err := Validate(repacked(t, c, gap), &v, &out); !errors.As(err, &refused) || refused.Code != protocol.UnknownServerError {
			t.Errorf("%s: %v", c, err)
		}
		v.KeepProducerCodec = false
		if err := Validate(repacked(t, c, gap), &v, &out); err != nil {
			t.Errorf("%s to none: %v", c, err)
		} else if !strings.HasPrefix(recordsOf(t, out.Batch), "0 ") {
			t.Errorf("%s to none: the gap is still there", c)
		}
	}
}

// TestBytesBehindTheStream are of no account, unless they are a further gzip member, zstd frame or Snappy stream.
func TestBytesBehindTheStream(t *testing.T) {
	plain := edited(None, func(Batch) {})
	cut := 8 + int(plain[BatchOverhead]/2) - 7 // of the first record: its length and what the length says
	for _, c := range []Codec{Gzip, LZ4} {
		v := clientDefaults()
		var out Validated
		for _, tail := range []string{"garbage, and more of it", "\x00\x00\x00\x00", "\x1f\x8b"} {
			b := resized(c, append(repacked(t, c, plain), tail...))
			if err := Validate(b, &v, &out); err != nil {
				t.Errorf("%s with %q: %v", c, tail, err)
			}
		}
	}
	for _, c := range allCodecs[1:] {
		first, err := appendCompressed(c, DefaultLevel, bytes.Clone(plain[:BatchOverhead]), plain[BatchOverhead:BatchOverhead+cut])
		if err != nil {
			t.Fatal(err)
		}
		second, err := appendCompressed(c, DefaultLevel, nil, plain[BatchOverhead+cut:])
		if err != nil {
			t.Fatal(err)
		}
		v := clientDefaults()
		var out Validated
		err = Validate(resized(c, append(first, second...)), &v, &out)
		if c == LZ4 {
			var refused *ValidationError
			if !errors.As(err, &refused) || refused.Code != protocol.InvalidRecord {
				t.Errorf("lz4 frames joined: %v", err)
			}
		} else if err != nil {
			t.Errorf("%s joined: %v", c, err)
		}
	}
}

func TestMaxTimestampIsRecomputed(t *testing.T) {
	for _, c := range allCodecs {
		v := clientDefaults()
		var out Validated
		b := edited(c, func(b Batch) { put64(b[maxTimestampAt:], 3); b[attributesAt] = 0xff })
		if err := Validate(b, &v, &out); err != nil {
			t.Fatal(err)
		}
		if out.Batch.MaxTimestamp() != now+5 || !out.Batch.VerifyCRC() || out.OffsetOfMaxTsDelta != 1 {
			t.Errorf("%s: %+v", c, out)
		}
		if out.Batch.Attributes() != int16(c) {
			t.Errorf("%s: attributes %x", c, out.Batch.Attributes())
		}
	}
}

func TestTimestampTypes(t *testing.T) {
	logAppend := clientDefaults()
	logAppend.LogAppendTime = true
	for _, c := range allCodecs {
		var out Validated
		b := edited(c, func(Batch) {})
		if err := Validate(b, &logAppend, &out); err != nil {
			t.Fatal(err)
		}
		if !out.Batch.LogAppendTime() || out.Batch.MaxTimestamp() != now || out.MaxTimestamp != now || out.LogAppendTimeMs != now ||
			out.OffsetOfMaxTsDelta != 1 || !out.Batch.VerifyCRC() || out.Batch.BaseTimestamp() != now {
			t.Errorf("%s: %+v", c, out)
		}
	}
	// The same by way of a rebuild.
	recompress := logAppend
	recompress.KeepProducerCodec, recompress.TargetCodec = false, LZ4
	var out Validated
	if err := Validate(edited(None, func(Batch) {}), &recompress, &out); err != nil {
		t.Fatal(err)
	} else if !out.Batch.LogAppendTime() || out.Batch.MaxTimestamp() != now || out.LogAppendTimeMs != now || out.OffsetOfMaxTsDelta != 1 {
		t.Errorf("rebuilt: %+v", out)
	}
	// A producer may not set the type where it means something; elsewhere it is dropped, and every record has the maximum.
	set := func(b Batch) { b[attributesAt+1] |= logAppendTimeBit; put64(b[maxTimestampAt:], now+9) }
	err := Validate(edited(None, set), &logAppend, &out)
	var refused *ValidationError
	if !errors.As(err, &refused) || refused.Code != protocol.InvalidTimestamp || len(refused.Records) != 2 || refused.Records[1].BatchIndex != 1 || refused.Message == "" {
		t.Errorf("LogAppendTime on a LogAppendTime topic: %v", err)
	}
	v := clientDefaults()
	if err := Validate(edited(None, set), &v, &out); err != nil {
		t.Error(err)
	} else if out.Batch.LogAppendTime() || out.MaxTimestamp != now+9 || out.OffsetOfMaxTsDelta != 0 || !out.Batch.VerifyCRC() {
		t.Errorf("LogAppendTime on a CreateTime topic: %+v", out)
	}
}

func TestTimestampLimits(t *testing.T) {
	for _, c := range []struct {
		timestamp int64
		ok        bool
	}{
		{now, true}, {now - 1000, true}, {now - 1001, false}, {now + 500, true}, {now + 501, false}, {NoTimestamp, true}, {0, false},
	} {
		for _, codec := range allCodecs {
			w := NewBuilder(codec)
			w.Add(now, nil, nil)
			w.Add(c.timestamp, nil, nil)
			v := clientDefaults()
			v.TimestampBeforeMaxMs, v.TimestampAfterMaxMs = 1000, 500
			var out Validated
			err := Validate(w.Build(), &v, &out)
			if c.ok {
				if err != nil {
					t.Errorf("%d: %v", c.timestamp-now, err)
				}
				continue
			}
			var refused *ValidationError
			if !errors.As(err, &refused) || refused.Code != protocol.InvalidTimestamp || len(refused.Records) != 1 || refused.Records[0].BatchIndex != 1 {
				t.Errorf("%d: %v", c.timestamp-now, err)
			} else if want := fmt.Sprint(c.timestamp); !strings.Contains(refused.Records[0].Message, want) {
				t.Errorf("%d: %q", c.timestamp-now, refused.Records[0].Message)
			}
		}
	}
}

func TestCompactedTopicsNeedKeys(t *testing.T) {
	w := NewBuilder(None)
	w.Add(now, []byte{}, nil)
	w.Add(now, nil, []byte("v"))
	w.Add(now, []byte("k"), nil)
	w.Add(now, nil, nil)
	v := clientDefaults()
	v.Compacted = true
	var out Validated
	err := Validate(w.Build(), &v, &out)
	var refused *ValidationError
	if !errors.As(err, &refused) || refused.Code != protocol.InvalidRecord || refused.Message == "" {
		t.Fatalf("%v", err)
	}
	if r := refused.Records; len(r) != 2 || r[0].BatchIndex != 1 || r[1].BatchIndex != 3 || !strings.Contains(r[0].Message, "key") {
		t.Errorf("%+v", r)
	}
}

func TestRefusedRecordsAreBounded(t *testing.T) {
	w := NewBuilder(None)
	for range maxRecordErrors + 10 {
		w.Add(now, nil, nil)
	}
	v := clientDefaults()
	v.Compacted = true
	var out Validated
	var refused *ValidationError
	if err := Validate(w.Build(), &v, &out); !errors.As(err, &refused) || len(refused.Records) != maxRecordErrors {
		t.Errorf("%v", err)
	}
}

func TestCoordinatorBatches(t *testing.T) {
	v := clientDefaults()
	v.FromClient, v.KeepProducerCodec, v.TargetCodec, v.Compacted = false, false, Zstd, true
	w := NewBuilder(None)
	w.Control, w.Transactional, w.ProducerID, w.ProducerEpoch = true, true, 9, 0
	w.Add(now, []byte{0, 0, 0, 1}, []byte{0, 0, 0, 0, 0, 0})
	var out Validated
	if err := Validate(w.Build(), &v, &out); err != nil {
		t.Fatal(err)
	}
	if out.Rebuilt || out.Batch.Codec() != None || !out.Batch.Control() {
		t.Error("a control batch was compressed")
	}
}

// TestValidateHoldsBombsBack recompresses a batch that decompresses to more than may be in memory.
func TestValidateHoldsBombsBack(t *testing.T) {
	w := NewBuilder(Zstd)
	w.Add(now, nil, make([]byte, maxRebuild+1))
	b := w.Build()
	if len(b) > 1<<20 {
		t.Fatalf("%d bytes are no bomb", len(b))
	}
	v := clientDefaults()
	v.KeepProducerCodec, v.TargetCodec = false, Gzip
	var out Validated
	var refused *ValidationError
	if err := Validate(bytes.Clone(b), &v, &out); !errors.As(err, &refused) || refused.Code != protocol.MessageTooLarge {
		t.Errorf("%v", err)
	}
	v.KeepProducerCodec = true
	if err := Validate(b, &v, &out); err != nil {
		t.Errorf("passed through: %v", err)
	}
}

// TestRebuildRefusesNegativeTimestamps: Kafka's builder throws there, and only there.
func TestRebuildRefusesNegativeTimestamps(t *testing.T) {
	w := NewBuilder(None)
	w.Add(-2, nil, nil)
	b := w.Build()
	v := clientDefaults()
	var out Validated
	if err := Validate(bytes.Clone(b), &v, &out); err != nil || out.MaxTimestamp != NoTimestamp {
		t.Errorf("%v, %+v", err, out)
	}
	v.KeepProducerCodec, v.TargetCodec = false, Gzip
	var refused *ValidationError
	if err := Validate(b, &v, &out); !errors.As(err, &refused) || refused.Code != protocol.UnknownServerError {
		t.Errorf("%v", err)
	}
}

func TestValidateAllocatesNothing(t *testing.T) {
	for _, c := range []Codec{None, Gzip, Snappy} {
		w := NewBuilder(c)
		for i := range 100 {
			w.Add(now+int64(i), []byte("key"), bytes.Repeat([]byte("v"), 200), Header{"h", []byte("x")})
		}
		b := w.Build()
		v := clientDefaults()
		var out Validated
		if n := testing.AllocsPerRun(200, func() {
			if err := Validate(b, &v, &out); err != nil {
				t.Fatal(err)
			}
		}); n != 0 && (c == None || n > 3) { // under the race detector pools now and then are empty on purpose
			t.Errorf("%s: %v allocations", c, n)
		}
	}
}

func BenchmarkValidate(b *testing.B) {
	for _, c := range allCodecs {
		for _, n := range []int{16, 160, 1600} {
			b.Run(fmt.Sprintf("%s/%d", c, n), func(b *testing.B) {
				w := NewBuilder(c)
				for i := range n {
					w.Add(now+int64(i), []byte("key"), bytes.Repeat([]byte("value"), 200))
				}
				batch := w.Build()
				v := clientDefaults()
				var out Validated
				b.SetBytes(int64(n * 1000))
				b.ReportAllocs()
				for b.Loop() {
					if err := Validate(batch, &v, &out); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
	}
}
