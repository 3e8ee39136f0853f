package record

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"strconv"
	"sync"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
	"github.com/pierrec/lz4/v4"
)

// Codec is a compression type as in the low three bits of a batch's attributes.
type Codec int8

// The codecs of Kafka.
const (
	None   Codec = 0
	Gzip   Codec = 1
	Snappy Codec = 2
	LZ4    Codec = 3
	Zstd   Codec = 4
)

var codecNames = [...]string{None: "none", Gzip: "gzip", Snappy: "snappy", LZ4: "lz4", Zstd: "zstd"}

// String is Kafka's name of the codec.
func (c Codec) String() string {
	if c < 0 || int(c) >= len(codecNames) {
		return "codec " + strconv.Itoa(int(c))
	}
	return codecNames[c]
}

const (
	windowSize = 64 << 10 // of decompressed bytes that are looked at together

	// A zstd frame says how much history its decoder has to keep, and the decoder takes that memory at once. Up to the first
	// bound (all levels but the "ultra" ones) decoders are pooled; up to the second, which is also the Java library's, they are made one at a
	// time; beyond that a frame is refused, as Java refuses it.
	zstdPooledWindow = 8 << 20
	zstdMaxWindow    = 128 << 20
)

// decompressor streams the decompressed form of one payload.
type decompressor struct {
	codec  Codec
	window []byte
	input  bytes.Reader
	stream io.Reader // the one of the codec

	gzip   *gzip.Reader
	snappy *snappyReader
	lz4    *lz4.Reader
	zstd   *zstd.Decoder
	large  bool // holds largeZstd
}

// decompressors has a pool per codec, so that a decoder's state is kept only where it is used.
var decompressors [Zstd + 1]sync.Pool

// largeZstd is held while a decoder with a large window exists.
var largeZstd = make(chan struct{}, 1)

// openDecompressor prepares to read payload. The result is to be closed; payload must not change before.
func openDecompressor(c Codec, payload []byte) (*decompressor, error) {
	d, _ := decompressors[c].Get().(*decompressor)
	if d == nil {
		d = &decompressor{codec: c, window: make([]byte, windowSize)}
	}
	d.input.Reset(payload)
	if err := d.start(payload); err != nil {
		d.close()
		return nil, err
	}
	return d, nil
}

func (d *decompressor) start(payload []byte) error {
	switch d.codec {
	case Gzip:
		if d.gzip == nil {
			d.gzip = new(gzip.Reader)
		}
		d.stream = d.gzip
		err := d.gzip.Reset(&d.input)
		d.gzip.Multistream(false)
		return err
	case Snappy:
		if d.snappy == nil {
			d.snappy = new(snappyReader)
		}
		if len(payload) == 0 {
			return errSnappy
		}
		d.stream = d.snappy
		d.snappy.reset(payload)
		return nil
	case LZ4:
		if err := checkLZ4Header(payload); err != nil {
			return err
		}
		if d.lz4 == nil {
			d.lz4 = lz4.NewReader(nil)
		}
		d.input.Reset(payload[:lz4FrameLen(payload)])
		d.stream = d.lz4
		d.lz4.Reset(&d.input)
		return nil
	case Zstd:
		return d.startZstd(payload)
	}
	return errors.New("no such codec")
}

func (d *decompressor) startZstd(payload []byte) error {
	if len(payload) == 0 {
		return errEnd
	}
	var h zstd.Header
	if err := h.Decode(payload); err != nil {
		return err
	}
	if max(h.WindowSize, h.FrameContentSize*b2u(h.SingleSegment)) <= zstdPooledWindow {
		if d.zstd == nil {
			var err error
			if d.zstd, err = newZstdDecoder(zstdPooledWindow); err != nil {
				return err
			}
		}
		d.stream = d.zstd
		return d.zstd.Reset(&d.input)
	}
	largeZstd <- struct{}{}
	d.large = true
	large, err := newZstdDecoder(zstdMaxWindow)
	if err != nil {
		return err
	}
	d.stream = large
	return large.Reset(&d.input)
}

func b2u(b bool) uint64 {
	if b {
		return 1
	}
	return 0
}

func newZstdDecoder(window uint64) (*zstd.Decoder, error) {
	return zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true), zstd.WithDecoderMaxWindow(window),
		zstd.WithDecodeBuffersBelow(0))
}

// checkLZ4Header refuses frames that Java's reader refuses (org.apache.kafka.common.compress.Lz4BlockInputStream), because what is
// stored has to be readable there: other magics, versions other than 1, blocks that depend on each other, dictionaries.
func checkLZ4Header(p []byte) error {
	const magic = "\x04\x22\x4d\x18"
	switch {
	case len(p) < 7:
		return io.ErrUnexpectedEOF
	case string(p[:4]) != magic:
		return errors.New("no frame")
	case p[4]>>6 != 1:
		return errors.New("frame version is not 1")
	case p[4]&0x20 == 0:
		return errors.New("dependent blocks")
	case p[4]&0x03 != 0 || p[5]&0x8f != 0:
		return errors.New("reserved bits are set")
	}
	return nil
}

// lz4FrameLen is the length of the first frame of p, whose header has been checked, or all of p when the frame does not end in it. Java's
// reader stops at the end of the first frame, whatever is behind it; the library's would go on.
func lz4FrameLen(p []byte) int {
	flags := p[4]
	at := 7
	if flags&0x08 != 0 {
		at += 8 // content size
	}
	for at+4 <= len(p) {
		size := int(binary.LittleEndian.Uint32(p[at:]) & 0x7fffffff)
		at += 4
		if size == 0 {
			if flags&0x04 != 0 {
				at += 4 // content checksum
			}
			return min(at, len(p))
		}
		at += size
		if flags&0x10 != 0 {
			at += 4 // block checksum
		}
	}
	return len(p)
}

// Read implements io.Reader. Like Java's reader of gzip it goes on with a further member where one begins behind the first, and takes no
// notice of anything else there.
func (d *decompressor) Read(p []byte) (int, error) {
	n, err := d.stream.Read(p)
	if err == io.EOF && d.codec == Gzip && d.input.Len() > 0 {
		if d.gzip.Reset(&d.input) != nil {
			d.input.Reset(nil)
			d.stream = &d.input // from here on it is at its end
			return n, io.EOF
		}
		d.gzip.Multistream(false)
		err = nil
	}
	return n, err
}

// close gives the decompressor back. It may be nil.
func (d *decompressor) close() {
	if d == nil {
		return
	}
	if d.large {
		if z, ok := d.stream.(*zstd.Decoder); ok {
			z.Close()
		}
		d.large = false
		<-largeZstd
	}
	d.stream = nil
	d.input.Reset(nil)
	if d.snappy != nil {
		d.snappy.reset(nil)
	}
	decompressors[d.codec].Put(d)
}
