package record

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"
)

var allCodecs = []Codec{None, Gzip, Snappy, LZ4, Zstd}

// sample is a batch whose records cover null and empty keys, values and headers, and sizes around the window.
func sample(c Codec) Batch {
	w := NewBuilder(c)
	w.Add(1000, []byte("k"), []byte("v"))
	w.Add(1005, nil, nil)
	w.Add(900, []byte{}, []byte{}, Header{Key: "", Value: nil}, Header{Key: "h", Value: []byte{}})
	w.Add(5000, []byte("big"), bytes.Repeat([]byte("0123456789abcdef"), 3*windowSize/16), Header{Key: "after", Value: []byte("x")})
	w.Add(4000, []byte("last"), []byte("value"))
	return w.Build()
}

// collect copies what Each yields.
func collect(b Batch) ([]Record, error) {
	var got []Record
	err := b.Each(0, func(r Record) error {
		r.Key, r.Value = bytes.Clone(r.Key), bytes.Clone(r.Value)
		r.Headers = slices.Clone(r.Headers)
		for i := range r.Headers {
			r.Headers[i].Value = bytes.Clone(r.Headers[i].Value)
		}
		got = append(got, r)
		return nil
	})
	return got, err
}

func TestRoundTripOfEveryCodec(t *testing.T) {
	want, err := collect(sample(None))
	if err != nil || len(want) != 5 {
		t.Fatalf("%d records, %v", len(want), err)
	}
	if want[1].Key != nil || want[1].Value != nil || want[2].Key == nil || want[2].Value == nil {
		t.Errorf("null and empty are mixed up: %v", want[1:3])
	}
	if h := want[2].Headers; len(h) != 2 || h[0].Value != nil || h[1].Value == nil {
		t.Errorf("headers %v", h)
	}
	for _, c := range allCodecs {
		b := sample(c)
		if b.Codec() != c || !b.VerifyCRC() || b.Count() != 5 || b.LastOffsetDelta() != 4 || b.BaseTimestamp() != 1000 || b.MaxTimestamp() != 5000 {
			t.Errorf("%s: header of %d records, last delta %d", c, b.Count(), b.LastOffsetDelta())
		}
		got, err := collect(b)
		if err != nil {
			t.Errorf("%s: %v", c, err)
		} else if fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("%s: records differ", c)
		}
	}
}

func TestSplit(t *testing.T) {
	b := sample(None)
	set := append(bytes.Clone(b), sample(Gzip)...)
	first, rest, err := Split(set)
	if err != nil || !bytes.Equal(first, b) {
		t.Fatalf("first batch: %v", err)
	}
	if second, rest, err := Split(rest); err != nil || second.Codec() != Gzip || len(rest) != 0 {
		t.Errorf("second batch: %v", err)
	}
	edit := func(at int, v byte) []byte {
		c := bytes.Clone(b)
		c[at] = v
		return c
	}
	for _, c := range []struct {
		name string
		set  []byte
		want error
	}{
		{"nothing", nil, ErrIncomplete},
		{"half a length", b[:10], ErrIncomplete},
		{"up to magic", b[:16], ErrIncomplete},
		{"one byte missing", b[:len(b)-1], ErrIncomplete},
		{"negative length", edit(lengthAt, 0x80), ErrCorrupt},
		{"length 13", append(append(bytes.Clone(b[:lengthAt]), 0, 0, 0, 13), b[12:]...), ErrCorrupt},
		{"length 48", append(append(bytes.Clone(b[:lengthAt]), 0, 0, 0, 48), b[12:]...), ErrCorrupt},
		{"magic 0", edit(magicAt, 0), ErrOldMagic},
		{"magic 1", edit(magicAt, 1), ErrOldMagic},
		{"magic 3", edit(magicAt, 3), ErrCorrupt},
		{"magic -1", edit(magicAt, 0xff), ErrCorrupt},
	} {
		if _, rest, err := Split(c.set); !errors.Is(err, c.want) || len(rest) != len(c.set) {
			t.Errorf("%s: %v", c.name, err)
		}
	}
	if !errors.Is(ErrOldMagic, ErrCorrupt) {
		t.Error("an old magic is a corrupt batch to those who do not look closer")
	}
}

func TestSequencesWrap(t *testing.T) {
	w := NewBuilder(None)
	w.BaseSequence = math.MaxInt32
	for range 3 {
		w.Add(0, nil, nil)
	}
	if got := w.Build().LastSequence(); got != 1 {
		t.Errorf("sequence after 2147483647, 0 is %d", got)
	}
}

// TestEachHoldsBombsBack decompresses a batch that is thousands of times its size, under a limit.
func TestEachHoldsBombsBack(t *testing.T) {
	for _, c := range allCodecs[1:] {
		w := NewBuilder(c)
		for range 8 {
			w.Add(0, nil, make([]byte, 1<<20))
		}
		err := w.Build().Each(2<<20, func(Record) error { return nil })
		if !errors.Is(err, errTooLarge) || !errors.Is(err, ErrCorrupt) {
			t.Errorf("%s: %v", c, err)
		}
	}
}

func TestEachStopsAtTheError(t *testing.T) {
	stop, n := errors.New("stop"), 0
	if err := sample(Zstd).Each(0, func(Record) error { n++; return stop }); err != stop || n != 1 {
		t.Errorf("%v after %d", err, n)
	}
}

func TestEachNamesDamage(t *testing.T) {
	for _, c := range []struct {
		name string
		edit func(Batch) Batch
		want string
	}{
		{"too many records said", func(b Batch) Batch { b[countAt+3]++; return b }, errEnd.Error()},
		{"too few records said", func(b Batch) Batch { b[countAt+3]--; return b }, errRemaining.Error()},
		{"negative count", func(b Batch) Batch { b[countAt] = 0xff; return b }, "records"},
		{"cut off", func(b Batch) Batch { return b[:len(b)-3] }, errEnd.Error()},
		{"record length", func(b Batch) Batch { b[BatchOverhead] += 2; return b }, ""},
		{"codec 7", func(b Batch) Batch { b[attributesAt+1] |= 7; return b }, "codec"},
		{"no gzip", func(b Batch) Batch { b[attributesAt+1] |= 1; return b }, "gzip"},
	} {
		_, err := collect(c.edit(sample(None)))
		if !errors.Is(err, ErrCorrupt) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v", c.name, err)
		}
	}
}
