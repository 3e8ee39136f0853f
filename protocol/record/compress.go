package record

import (
	"bytes"
	"io"
	"sync"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
	"github.com/pierrec/lz4/v4"
)

// DefaultLevel asks for a codec's own default level.
const DefaultLevel = 0

// compressorKey tells pools of compressors apart.
type compressorKey struct {
	codec Codec
	level int
}

// compressors holds a *sync.Pool per compressorKey. Levels are bounded, so it is, too.
var compressors sync.Map

func compressorPool(c Codec, level int) *sync.Pool {
	key := compressorKey{c, level}
	if p, ok := compressors.Load(key); ok {
		return p.(*sync.Pool)
	}
	p, _ := compressors.LoadOrStore(key, new(sync.Pool))
	return p.(*sync.Pool)
}

// appendCompressed appends src to dst in the form that Java's clients read and write for the codec. Levels are those of
// compression.gzip.level (1 to 9), compression.lz4.level (1 to 17) and compression.zstd.level (-131072 to 22); DefaultLevel and values outside
// mean the default. The libraries have fewer levels than Java's: the nearest is taken.
func appendCompressed(c Codec, level int, dst, src []byte) ([]byte, error) {
	switch c {
	case Gzip:
		return appendGzip(level, dst, src)
	case Snappy:
		return appendXerial(dst, src), nil
	case LZ4:
		return appendLZ4(level, dst, src)
	case Zstd:
		return appendZstd(level, dst, src)
	}
	return append(dst, src...), nil
}

func appendGzip(level int, dst, src []byte) ([]byte, error) {
	if level < gzip.BestSpeed || level > gzip.BestCompression {
		level = gzip.DefaultCompression
	}
	out := bytes.NewBuffer(dst)
	pool := compressorPool(Gzip, level)
	w, _ := pool.Get().(*gzip.Writer)
	if w == nil {
		var err error
		if w, err = gzip.NewWriterLevel(out, level); err != nil {
			return dst, err
		}
	} else {
		w.Reset(out)
	}
	defer pool.Put(w)
	if err := writeAndClose(w, src); err != nil {
		return dst, err
	}
	return out.Bytes(), nil
}

// lz4Levels maps compression.lz4.level; 9 is Kafka's default and means the fast compressor there.
var lz4Levels = [...]lz4.CompressionLevel{
	lz4.Fast, lz4.Level1, lz4.Level2, lz4.Level3, lz4.Level4, lz4.Level5, lz4.Level6, lz4.Level7, lz4.Level8, lz4.Fast,
}

// appendLZ4 writes a frame as org.apache.kafka.common.compress.Lz4BlockOutputStream does: independent blocks of 64 KiB, no checksum but
// that of the header.
func appendLZ4(level int, dst, src []byte) ([]byte, error) {
	effective := lz4.Fast
	switch {
	case level >= 1 && level < len(lz4Levels):
		effective = lz4Levels[level]
	case level >= len(lz4Levels) && level <= 17:
		effective = lz4.Level9
	}
	out := bytes.NewBuffer(dst)
	pool := compressorPool(LZ4, int(effective))
	w, _ := pool.Get().(*lz4.Writer)
	if w == nil {
		w = lz4.NewWriter(out)
		if err := w.Apply(lz4.BlockSizeOption(lz4.Block64Kb), lz4.ChecksumOption(false), lz4.CompressionLevelOption(effective)); err != nil {
			return dst, err
		}
	} else {
		w.Reset(out)
	}
	defer pool.Put(w)
	if err := writeAndClose(w, src); err != nil {
		return dst, err
	}
	return out.Bytes(), nil
}

func writeAndClose(w io.WriteCloser, src []byte) error {
	if _, err := w.Write(src); err != nil {
		return err
	}
	return w.Close()
}

// zstdDefaultLevel is compression.zstd.level's default.
const zstdDefaultLevel = 3

func appendZstd(level int, dst, src []byte) ([]byte, error) {
	if level == DefaultLevel || level > 22 {
		level = zstdDefaultLevel
	}
	effective := zstd.EncoderLevelFromZstd(level)
	pool := compressorPool(Zstd, int(effective))
	w, _ := pool.Get().(*zstd.Encoder)
	if w == nil {
		var err error
		w, err = zstd.NewWriter(nil, zstd.WithEncoderLevel(effective), zstd.WithEncoderConcurrency(1), zstd.WithEncoderCRC(false),
			zstd.WithLowerEncoderMem(true), zstd.WithWindowSize(zstdWindow))
		if err != nil {
			return dst, err
		}
	}
	defer pool.Put(w)
	return w.EncodeAll(src, dst), nil
}

// zstdWindow keeps what we write inside what every reader takes without asking, and small to decode.
const zstdWindow = 2 << 20
