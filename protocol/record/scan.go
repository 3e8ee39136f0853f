package record

import (
	"errors"
	"fmt"
	"sync"

	"gregor/protocol"
)

// What can be wrong with a record's structure.
var (
	errBadLength   = errors.New("a record's length is no varint")
	errBadSize     = errors.New("a record's length does not match its fields")
	errHeaderCount = errors.New("a record has an impossible number of headers")
	errHeaderKey   = errors.New("a record header has a negative key length")
)

// scanner goes over the records of a batch without looking at keys, values and headers, and collects what Validate wants to know. It is pooled.
type scanner struct {
	cursor            cursor
	maxTimestamp      int64
	maxTimestampDelta int32 // index of the record with maxTimestamp
	gaps              bool  // offset deltas are not 0, 1, 2, …
	refused           []RecordError
	badTimestamp      bool // some of refused are for their timestamps
}

var scanners = sync.Pool{New: func() any { return new(scanner) }}

// release puts the scanner back without anything it aliased.
func (s *scanner) release() {
	*s = scanner{}
	scanners.Put(s)
}

// scan reads the records of b. The error is about the records as a whole; records refused one by one are in s.refused.
func (s *scanner) scan(b Batch, v *Validation) error {
	d, err := s.cursor.open(b, DefaultMaxDecompressed)
	if err != nil {
		return err
	}
	defer d.close()
	s.maxTimestamp, s.maxTimestampDelta = NoTimestamp, -1
	logAppendTime, base, max := b.LogAppendTime(), b.BaseTimestamp(), b.MaxTimestamp()
	for i, n := int32(0), b.Count(); i < n; i++ {
		timestampDelta, offsetDelta, hasKey := s.record()
		if s.cursor.err != nil {
			return s.cursor.err
		}
		timestamp := base + timestampDelta
		if logAppendTime {
			timestamp = max
		}
		s.check(i, offsetDelta, timestamp, hasKey, logAppendTime, v)
		if timestamp > s.maxTimestamp {
			s.maxTimestamp, s.maxTimestampDelta = timestamp, i
		}
		s.gaps = s.gaps || offsetDelta != i
	}
	if b.Count() > 0 {
		s.cursor.end()
	}
	return s.cursor.err
}

// record passes over one record.
func (s *scanner) record() (timestampDelta int64, offsetDelta int32, hasKey bool) {
	c := &s.cursor
	size := c.varint()
	if c.err == errVarint {
		c.err = errBadLength
	}
	start := c.offset()
	c.readByte() // attributes
	timestampDelta = c.varlong()
	offsetDelta = c.varint()
	n := c.varint()
	hasKey = n >= 0
	if n > 0 {
		c.skip(int(n))
	}
	if n = c.varint(); n > 0 {
		c.skip(int(n))
	}
	headers := c.varint()
	if headers != 0 && c.err == nil {
		s.headers(headers)
	}
	if c.err == nil && c.offset()-start != int64(size) {
		c.fail(errBadSize)
	}
	return timestampDelta, offsetDelta, hasKey
}

func (s *scanner) headers(count int32) {
	c := &s.cursor
	if count < 0 {
		c.fail(errHeaderCount)
	}
	for ; count > 0 && c.err == nil; count-- {
		n := c.varint()
		if n < 0 {
			c.fail(errHeaderKey)
			return
		}
		c.skip(int(n))
		if n = c.varint(); n > 0 {
			c.skip(int(n))
		}
	}
}

// check refuses a record for what it says: no key on a compacted topic, or a timestamp that the topic does not take.
func (s *scanner) check(index, offsetDelta int32, timestamp int64, hasKey, logAppendTime bool, v *Validation) {
	switch {
	case v.Compacted && !hasKey:
		s.refuse(index, false, "a record without key on the compacted topic %s", v.Topic)
	case !v.LogAppendTime && timestamp != NoTimestamp:
		diff := v.NowMs - timestamp
		if diff > v.TimestampBeforeMaxMs || -diff > v.TimestampAfterMaxMs {
			s.refuse(index, true, "timestamp %d of the record with offset %d is outside [%d, %d]", timestamp, offsetDelta,
				v.NowMs-v.TimestampBeforeMaxMs, v.NowMs+v.TimestampAfterMaxMs)
		}
	case logAppendTime:
		s.refuse(index, true, "a producer may not set the timestamp type LogAppendTime")
	}
}

func (s *scanner) refuse(index int32, badTimestamp bool, format string, args ...any) {
	s.badTimestamp = s.badTimestamp || badTimestamp
	if len(s.refused) < maxRecordErrors {
		s.refused = append(s.refused, RecordError{BatchIndex: index, Message: fmt.Sprintf(format, args...)})
	}
}

// refusal is the error for a batch with refused records: INVALID_TIMESTAMP if any was refused for that.
func (s *scanner) refusal() error {
	e := &ValidationError{Code: protocol.InvalidRecord, Records: s.refused}
	e.Message = fmt.Sprintf("%d records of the batch were refused", len(s.refused))
	if s.badTimestamp {
		e.Code, e.Message = protocol.InvalidTimestamp, "records of the batch were refused for their timestamps"
	}
	return e
}
