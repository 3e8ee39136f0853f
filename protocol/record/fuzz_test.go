package record

import (
	"bytes"
	"errors"
	"testing"

	"gregor/protocol"
)

// seedBatches are good batches of every codec, and some bad ones.
func seedBatches(f *testing.F) {
	small := func(c Codec) Batch {
		w := NewBuilder(c)
		w.Add(now, []byte("key"), []byte("value"), Header{"h", nil}, Header{"", []byte{}})
		w.Add(now-1, nil, bytes.Repeat([]byte("v"), 100))
		return w.Build()
	}
	for _, c := range allCodecs {
		b := small(c)
		f.Add([]byte(b))
		f.Add([]byte(b[:len(b)-1]))
		f.Add(append(bytes.Clone(b), b...))
	}
	f.Add([]byte(edited(None, func(b Batch) { put32(b[countAt:], 1<<30) })))
	f.Add([]byte(edited(None, func(b Batch) { b[attributesAt+1] |= 7 })))
	f.Add(make([]byte, BatchOverhead))
	f.Add([]byte{})
}

// FuzzSplitAndEach walks whatever comes. The CRC is not looked at, so that the fuzzer gets past it.
func FuzzSplitAndEach(f *testing.F) {
	seedBatches(f)
	f.Fuzz(func(t *testing.T, set []byte) {
		for len(set) > 0 {
			b, rest, err := Split(set)
			if err != nil {
				if !errors.Is(err, ErrIncomplete) && !errors.Is(err, ErrCorrupt) {
					t.Fatal(err)
				}
				return
			}
			if len(b)+len(rest) != len(set) || len(b) < BatchOverhead {
				t.Fatalf("%d and %d of %d bytes", len(b), len(rest), len(set))
			}
			n := 0
			err = b.Each(1<<20, func(r Record) error {
				if n++; len(r.Key)+len(r.Value) > 1<<20 {
					t.Fatal("a record above the limit")
				}
				return nil
			})
			if err != nil && !errors.Is(err, ErrCorrupt) {
				t.Fatal(err)
			}
			if err == nil && n != int(b.Count()) {
				t.Fatalf("%d records of %d", n, b.Count())
			}
			set = rest
		}
	})
}

// FuzzValidate has a right CRC put on every batch, and checks that what Validate accepts can be read, and that a rebuilt batch holds the same.
func FuzzValidate(f *testing.F) {
	seedBatches(f)
	f.Fuzz(func(t *testing.T, set []byte) {
		b, _, err := Split(bytes.Clone(set))
		if err != nil {
			return
		}
		b.setCRC()
		before := bytes.Clone(b)
		for _, target := range allCodecs {
			v := clientDefaults()
			v.KeepProducerCodec, v.TargetCodec = false, target
			var out Validated
			if err := Validate(bytes.Clone(before), &v, &out); err != nil {
				var refused *ValidationError
				if !errors.As(err, &refused) || refused.Code == protocol.None {
					t.Fatalf("no refusal: %v", err)
				}
				continue
			}
			got, err := collect(out.Batch)
			if err != nil {
				t.Fatalf("accepted, but: %v", err)
			}
			want, err := collect(Batch(before))
			if err != nil || len(got) != len(want) || !out.Batch.VerifyCRC() {
				t.Fatalf("%d records of %d, %v", len(got), len(want), err)
			}
			for i := range got {
				if !bytes.Equal(got[i].Key, want[i].Key) || !bytes.Equal(got[i].Value, want[i].Value) || len(got[i].Headers) != len(want[i].Headers) {
					t.Fatalf("record %d differs", i)
				}
			}
		}
	})
}

// FuzzDecompress gives garbage to every codec: an error or an end, within the limit.
func FuzzDecompress(f *testing.F) {
	for _, c := range allCodecs[1:] {
		b, err := appendCompressed(c, DefaultLevel, nil, bytes.Repeat([]byte("some text "), 1000))
		if err != nil {
			f.Fatal(err)
		}
		f.Add(int8(c), b)
		f.Add(int8(c), b[:len(b)/2])
		f.Add(int8(c), append(bytes.Clone(b), b...))
	}
	f.Fuzz(func(t *testing.T, codec int8, payload []byte) {
		if c := Codec(codec); c <= None || c > Zstd {
			return
		}
		b := append(make(Batch, BatchOverhead), payload...)
		b[attributesAt+1] = byte(codec)
		var c cursor
		d, err := c.open(b, 1<<20)
		if err != nil {
			return
		}
		defer d.close()
		for c.fill() {
		}
		if c.base > 1<<20 {
			t.Fatalf("%d bytes", c.base)
		}
	})
}

// FuzzCodecs compresses and decompresses.
func FuzzCodecs(f *testing.F) {
	f.Add([]byte("text"), 0)
	f.Add([]byte{}, 9)
	f.Add(bytes.Repeat([]byte("0123456789"), 20000), -1)
	f.Fuzz(func(t *testing.T, value []byte, level int) {
		for _, c := range allCodecs {
			w := NewBuilder(c)
			w.Level = level
			w.Add(0, nil, value)
			err := w.Build().Each(0, func(r Record) error {
				if !bytes.Equal(r.Value, value) {
					t.Fatalf("%s: other bytes", c)
				}
				return nil
			})
			if err != nil {
				t.Fatalf("%s: %v", c, err)
			}
		}
	})
}
