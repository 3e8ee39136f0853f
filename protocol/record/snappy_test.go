package record

import (
	"bytes"
	"io"
	"math/rand/v2"
	"testing"

	"github.com/klauspost/compress/s2"
	"github.com/klauspost/compress/snappy"
)

// text is n bytes that compress, with matches near and far.
func text(rng *rand.Rand, n int) []byte {
	b := make([]byte, 0, n+100)
	for len(b) < n {
		if at := rng.IntN(len(b) + 1); rng.IntN(3) > 0 && at < len(b) {
			b = append(b, b[at:min(at+4+rng.IntN(60), len(b))]...)
		} else {
			for range 1 + rng.IntN(100) {
				b = append(b, byte(rng.IntN(256)))
			}
		}
	}
	return b[:n]
}

// The reader takes exactly the blocks that Snappy's own decoder takes, and makes the same bytes of them; among those it must not take are S2's.
func TestSnappyReaderIsStrict(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 4))
	refused, extended := 0, 0
	for range 4000 {
		plain := text(rng, rng.IntN(3000))
		var block []byte
		switch rng.IntN(8) {
		case 0:
			block = s2.Encode(nil, plain)
		case 1:
			block = s2.EncodeBest(nil, plain)
		default:
			block = s2.EncodeSnappyBetter(nil, plain)
		}
		for range rng.IntN(3) {
			block[rng.IntN(len(block))] ^= 1 << rng.IntN(8)
		}
		want, wantErr := snappy.DecodeStrict(nil, block)
		if size, err := snappy.DecodedLen(block); err == nil && size > snappyMaxExpansion*len(block) {
			continue
		}
		var r snappyReader
		r.reset(block)
		got, err := io.ReadAll(&r)
		if (err == nil) != (wantErr == nil) || err == nil && !bytes.Equal(got, want) {
			t.Fatalf("block %x: %v and %d bytes, strictly %v and %d bytes", block, err, len(got), wantErr, len(want))
		}
		if wantErr != nil {
			refused++
			if _, err := s2.Decode(nil, block); err == nil {
				extended++
			}
		}
	}
	if refused < 300 || extended < 20 {
		t.Errorf("only %d blocks refused, %d of them for S2's extensions", refused, extended)
	}
}
