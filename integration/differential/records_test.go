package differential

import (
	"bytes"
	"compress/gzip"
	"encoding/binary"
	"fmt"
	"io"

	"github.com/klauspost/compress/s2"
	"github.com/klauspost/compress/zstd"
	"github.com/pierrec/lz4/v4"
)

// recordMask says which parts of fetched batches cannot be equal in two brokers.
type recordMask int

const (
	exactRecords  recordMask = iota // every byte is to be equal
	appendTime                      // the broker stamps its clock: timestamps and CRC differ
	recompressed                    // the broker compresses: sizes and CRC differ, the records inside must not
	ignoreRecords                   // internal topics and the like
)

// batchHeaderSize is the size in bytes of a record batch (magic 2) before its first record.
const batchHeaderSize = 61

// recordBatches flattens the batches of a fetched partition.
func (f *flattener) recordBatches(path string, b []byte) {
	if f.records == ignoreRecords {
		return
	}
	n := 0
	for ; len(b) >= 17; n++ {
		p := fmt.Sprintf("%s[%d]", path, n)
		size := 12 + int(binary.BigEndian.Uint32(b[8:]))
		if size > len(b) || size < 17 {
			break
		}
		if b[16] != 2 || size < batchHeaderSize {
			f.out[p+".oldFormat"] = fmt.Sprintf("%x", b[:size])
		} else {
			f.batch(p, b[:size])
		}
		b = b[size:]
	}
	f.out[path+".batches"] = fmt.Sprint(n)
	f.out[path+".cut"] = fmt.Sprint(len(b))
}

func (f *flattener) batch(p string, b []byte) {
	be := binary.BigEndian
	set := func(name string, v any) { f.out[p+"."+name] = fmt.Sprint(v) }
	attributes := be.Uint16(b[21:])
	set("baseOffset", int64(be.Uint64(b)))
	set("leaderEpoch", int32(be.Uint32(b[12:])))
	set("attributes", attributes)
	set("lastOffsetDelta", int32(be.Uint32(b[23:])))
	set("producerID", int64(be.Uint64(b[43:])))
	set("producerEpoch", int16(be.Uint16(b[51:])))
	set("baseSequence", int32(be.Uint32(b[53:])))
	set("count", int32(be.Uint32(b[57:])))
	if f.records != appendTime {
		set("baseTimestamp", int64(be.Uint64(b[27:])))
		set("maxTimestamp", int64(be.Uint64(b[35:])))
	}
	payload := b[batchHeaderSize:]
	if f.records == recompressed {
		plain, err := decompress(attributes&7, payload)
		if err != nil {
			plain = []byte(err.Error())
		}
		payload = plain
	} else {
		set("length", len(b)-12)
	}
	if f.records == exactRecords {
		set("crc", be.Uint32(b[17:]))
	}
	set("records", fmt.Sprintf("%x", payload))
}

// decompress undoes the codec of a batch's attributes; snappy may be framed as Java's library does.
func decompress(codec uint16, b []byte) ([]byte, error) {
	switch codec {
	case 0:
		return b, nil
	case 1:
		r, err := gzip.NewReader(bytes.NewReader(b))
		if err != nil {
			return nil, err
		}
		return io.ReadAll(r)
	case 2:
		return unframeSnappy(b)
	case 3:
		return io.ReadAll(lz4.NewReader(bytes.NewReader(b)))
	case 4:
		r, err := zstd.NewReader(bytes.NewReader(b))
		if err != nil {
			return nil, err
		}
		defer r.Close()
		return io.ReadAll(r)
	}
	return nil, fmt.Errorf("codec %d", codec)
}

var xerialMagic = []byte("\x82SNAPPY\x00")

func unframeSnappy(b []byte) ([]byte, error) {
	if !bytes.HasPrefix(b, xerialMagic) || len(b) < 16 {
		return s2.Decode(nil, b)
	}
	var out []byte
	for b = b[16:]; len(b) >= 4; {
		n := int(binary.BigEndian.Uint32(b))
		if n > len(b)-4 {
			return nil, io.ErrUnexpectedEOF
		}
		part, err := s2.Decode(nil, b[4:4+n])
		if err != nil {
			return nil, err
		}
		out, b = append(out, part...), b[4+n:]
	}
	return out, nil
}
