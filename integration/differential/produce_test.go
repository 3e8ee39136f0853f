package differential

import (
	"bytes"
	"compress/gzip"
	"strings"

	"github.com/klauspost/compress/s2"
	"github.com/klauspost/compress/zstd"
	"github.com/pierrec/lz4/v4"
	"github.com/twmb/franz-go/pkg/kmsg"
)

func produceScenarios() []scenario {
	return []scenario{
		{"produce right", produceRight},
		{"produce several", produceSeveral},
		{"produce acks", produceAcks},
		{"produce wild batches", produceWild},
		{"produce old formats", produceOld},
		{"produce codecs", produceCodecs},
		{"produce topic settings", produceSettings},
		{"produce pipelined", producePipelined},
	}
}

// produceRight appends with every version, and reads back.
func produceRight(s *session) {
	s.createTopic("p-right", 1)
	s.each(0, 3, func(s *session, v int16) {
		s.do("one", produce(v, "p-right", 0, newBatch(values("a")...).bytes()))
		s.do("three", produce(v, "p-right", 0, newBatch(values("a", "b", "c")...).bytes()))
		rich := newBatch(record{key: []byte("k"), value: nil, headers: [][2]string{{"h", "v"}, {"h", ""}}}, record{key: []byte{}, value: []byte{}})
		s.do("headers and nulls", produce(v, "p-right", 0, rich.bytes()))
	})
	s.in("read").do("back", s.fetch(12, "p-right", 0, 0))
}

// produceSeveral mixes good and bad partitions in one request.
func produceSeveral(s *session) {
	s.createTopic("p-many", 3)
	s.each(0, 3, func(s *session, v int16) {
		r := produce(v, "p-many", 0, newBatch(values("a")...).bytes())
		p := r.Topics[0].Partitions[0]
		p.Partition = 2
		bad := p
		bad.Partition = 9
		negative := p
		negative.Partition = -1
		broken := p
		broken.Partition, broken.Records = 1, batch{}.bytes()
		r.Topics[0].Partitions = append(r.Topics[0].Partitions, p, bad, negative, broken)
		missing := r.Topics[0]
		missing.Topic, missing.Partitions = "p-missing", []kmsg.ProduceRequestTopicPartition{p}
		invalid := missing
		invalid.Topic = "not/valid"
		empty := missing
		empty.Topic, empty.Partitions = "p-many-2", nil
		r.Topics = append(r.Topics, missing, invalid, empty)
		s.do("mixed", r)

		none := produce(v, "p-many", 0, nil)
		none.Topics = nil
		s.do("no topics", none)
		twice := produce(v, "p-many", 0, newBatch(values("x")...).bytes())
		twice.Topics[0].Partitions = append(twice.Topics[0].Partitions, twice.Topics[0].Partitions[0])
		twice.Topics[0].Partitions[1].Records = newBatch(values("y")...).bytes()
		s.do("partition twice", twice)
		internal := produce(v, "__consumer_offsets", 0, newBatch(record{key: []byte("k"), value: []byte("v")}).bytes())
		s.do("internal topic", internal)
	})
	s.in("read").do("0", s.fetch(12, "p-many", 0, 0))
	s.do("2", s.fetch(12, "p-many", 2, 0))
}

// produceAcks tries every value of acks; with 0 there is no answer, and a closed connection when anything fails.
func produceAcks(s *session) {
	s.createTopic("p-acks", 1)
	s.createTopic("p-acks-isr", 1, "min.insync.replicas", "2")
	s.each(0, 3, func(s *session, v int16) {
		for _, acks := range []int16{1, -1, 2, -2, 32767} {
			r := produce(v, "p-acks", 0, newBatch(values("a")...).bytes())
			r.Acks = acks
			s.in("v%d acks %d", v, acks).do("", r)
		}
		r := produce(v, "p-acks-isr", 0, newBatch(values("a")...).bytes())
		s.in("v%d", v).do("min isr 2", r)
		zero := produce(v, "p-acks", 0, newBatch(values("zero")...).bytes())
		zero.Acks = 0
		c := s.connection()
		c.send(0, v, zero.IsFlexible(), zero.AppendTo(nil))
		s.do("request behind acks 0", apiVersionsRequest(0, "", ""))
		zero.Topics[0].Partitions[0].Partition = 7
		c.send(0, v, zero.IsFlexible(), zero.AppendTo(nil))
		s.do("request behind failed acks 0", apiVersionsRequest(0, "", ""))
		zero.Topics = nil
		s.connection().send(0, v, zero.IsFlexible(), zero.AppendTo(nil))
		s.do("request behind empty acks 0", apiVersionsRequest(0, "", ""))
		timeout := produce(v, "p-acks", 0, newBatch(values("a")...).bytes())
		timeout.TimeoutMillis = -5
		s.do("negative timeout", timeout)
	})
	s.in("read").do("back", s.fetch(12, "p-acks", 0, 0))
}

// produceWild is the list of wrong batches.
func produceWild(s *session) {
	s.createTopic("p-wild", 1)
	s.createTopic("p-wild-append", 1, "message.timestamp.type", "LogAppendTime")
	s.createTopic("p-wild-compact", 1, "cleanup.policy", "compact")
	wild := wildBatches()
	s.each(0, 3, func(s *session, v int16) {
		for _, w := range wild {
			for _, topic := range []string{"p-wild", "p-wild-append", "p-wild-compact"} {
				if w.bytes == nil && (topic != "p-wild" || v > 3 && v < 11) {
					continue // waiting for an answer that does not come takes its time
				}
				s.in("v%d %s", v, topic).doMute(w.name, produce(v, topic, 0, w.bytes))
			}
		}
	})
	s.in("read").do("back", s.fetch(12, "p-wild", 0, 0))
	s.masking(appendTime).do("append time", s.fetch(12, "p-wild-append", 0, 0))
	s.masking(exactRecords).do("compact", s.fetch(12, "p-wild-compact", 0, 0))
}

type wildBatch struct {
	name  string
	bytes []byte
}

func wildBatches() []wildBatch {
	good := newBatch(values("a", "b")...)
	keyed := newBatch(record{key: []byte("k"), value: []byte("v")})
	with := func(f func(b *batch)) []byte {
		b := good
		f(&b)
		return b.bytes()
	}
	keyedWith := func(f func(b *batch)) []byte {
		b := keyed
		f(&b)
		return b.bytes()
	}
	two := append(good.bytes(), good.bytes()...)
	control := keyed
	control.attributes = 0x20
	out := []wildBatch{
		{"good", good.bytes()},
		{"keyed", keyed.bytes()},
		{"null records", nil},
		{"empty records", []byte{}},
		{"one byte", []byte{0}},
		{"header cut", good.bytes()[:40]},
		{"payload cut", good.bytes()[:len(good.bytes())-1]},
		{"bytes behind", append(keyed.bytes(), 1, 2, 3)},
		{"half a batch behind", append(keyed.bytes(), good.bytes()[:50]...)},
		{"two batches", two},
		{"base offset 5", with(func(b *batch) { b.baseOffset = 5 })},
		{"base offset -1", with(func(b *batch) { b.baseOffset = -1 })},
		{"leader epoch 77", keyedWith(func(b *batch) { b.leaderEpoch = 77 })},
		{"magic 3", with(func(b *batch) { b.magic = 3 })},
		{"magic -1", with(func(b *batch) { b.magic = -1 })},
		{"magic 0 in a batch", with(func(b *batch) { b.magic = 0 })},
		{"crc", with(func(b *batch) { b.crcError = 1 })},
		{"size 1 more", with(func(b *batch) { b.sizeError = 1 })},
		{"size 1 less", with(func(b *batch) { b.sizeError = -1 })},
		{"size 0", with(func(b *batch) { b.sizeError = -int32(batchHeaderSize - 12 + len(b.payload)) })},
		{"size negative", with(func(b *batch) { b.sizeError = -100000 })},
		{"size huge", with(func(b *batch) { b.sizeError = 1 << 30 })},
		{"count 0", with(func(b *batch) { b.count = 0 })},
		{"count 1", with(func(b *batch) { b.count = 1 })},
		{"count 3", with(func(b *batch) { b.count = 3 })},
		{"count -1", with(func(b *batch) { b.count = -1 })},
		{"count max", with(func(b *batch) { b.count = 1<<31 - 1; b.lastOffsetDelta = 1<<31 - 2 })},
		{"delta 5", with(func(b *batch) { b.lastOffsetDelta = 5 })},
		{"delta and count 5", with(func(b *batch) { b.lastOffsetDelta, b.count = 4, 5 })},
		{"delta -1", with(func(b *batch) { b.lastOffsetDelta = -1 })},
		{"no records", with(func(b *batch) { b.payload, b.count, b.lastOffsetDelta = nil, 0, -1 })},
		{"control", control.bytes()},
		{"transactional without id", keyedWith(func(b *batch) { b.attributes = 0x10; b.producerID, b.producerEpoch, b.baseSequence = 1, 0, 0 })},
		{"transactional without producer", keyedWith(func(b *batch) { b.attributes = 0x10 })},
		{"timestamp type bit", keyedWith(func(b *batch) { b.attributes = 8 })},
		{"delete horizon bit", keyedWith(func(b *batch) { b.attributes = 0x40 })},
		{"unused attribute bits", keyedWith(func(b *batch) { b.attributes = 0x7f80 })},
		{"top attribute bit", keyedWith(func(b *batch) { b.attributes = -0x8000 })},
		{"max timestamp too high", keyedWith(func(b *batch) { b.maxTimestamp += 1000 })},
		{"max timestamp too low", keyedWith(func(b *batch) { b.maxTimestamp -= 1000 })},
		{"max timestamp -1", keyedWith(func(b *batch) { b.maxTimestamp = -1 })},
		{"timestamp far ahead", keyedWith(func(b *batch) { b.baseTimestamp += 3_700_000 * 10; b.maxTimestamp = b.baseTimestamp })},
		{"timestamp long ago", keyedWith(func(b *batch) { b.baseTimestamp, b.maxTimestamp = 0, 0 })},
		{"timestamp -1", keyedWith(func(b *batch) { b.baseTimestamp, b.maxTimestamp = -1, -1 })},
		{"timestamp negative", keyedWith(func(b *batch) { b.baseTimestamp, b.maxTimestamp = -100, -100 })},
		{"sequence without producer", keyedWith(func(b *batch) { b.baseSequence = 3 })},
		{"producer without sequence", keyedWith(func(b *batch) { b.producerID, b.producerEpoch = 4000, 0 })},
		{"producer with epoch -1", keyedWith(func(b *batch) { b.producerID, b.baseSequence = 4000, 0 })},
		{"old message magic 0", oldMessage(0, "m")},
		{"old message magic 1", oldMessage(1, "m")},
	}
	return append(out, wildRecords()...)
}

// wildRecords are batches whose header is right and whose records are not.
func wildRecords() []wildBatch {
	raw := func(count int32, payload ...byte) []byte {
		b := newBatch(values("a")...)
		b.count, b.lastOffsetDelta, b.payload = count, count-1, payload
		return b.bytes()
	}
	attributes := newBatch()
	attributes.payload = record{attributes: 0x55, key: []byte("k"), value: []byte("v")}.append(nil)
	attributes.count, attributes.lastOffsetDelta = 1, 0
	deltas := newBatch()
	deltas.payload = record{offsetDelta: 7, key: []byte("k"), value: []byte("v")}.append(nil)
	deltas.payload = record{offsetDelta: -3, key: []byte("k"), value: []byte("v")}.append(deltas.payload)
	deltas.count, deltas.lastOffsetDelta = 2, 1
	times := newBatch()
	times.payload = record{timeDelta: -5_000_000, key: []byte("k"), value: []byte("v")}.append(nil)
	times.count, times.lastOffsetDelta = 1, 0
	return []wildBatch{
		{"record attributes", attributes.bytes()},
		{"offset deltas", deltas.bytes()},
		{"negative time delta", times.bytes()},
		{"record empty", raw(1)},
		{"record length 0", raw(1, 0)},
		{"record length negative", raw(1, 1)},
		{"record length beyond", raw(1, 100, 0, 0, 0)},
		{"record varint endless", raw(1, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff)},
		{"record key beyond", raw(1, 14, 0, 0, 0, 100, 1, 1, 0)},
		{"record key length -2", raw(1, 12, 0, 0, 0, 3, 1, 0)},
		{"record value beyond", raw(1, 14, 0, 0, 0, 1, 100, 1, 0)},
		{"record headers negative", raw(1, 12, 0, 0, 0, 1, 1, 1)},
		{"record headers beyond", raw(1, 12, 0, 0, 0, 1, 1, 100)},
		{"record header null key", raw(1, 16, 0, 0, 0, 1, 1, 2, 1, 1)},
		{"record header null value", raw(1, 18, 0, 0, 0, 1, 1, 2, 2, 'h', 1)},
		{"record bytes left inside", raw(1, 16, 0, 0, 0, 1, 1, 0, 9, 9)},
		{"record bytes left behind", raw(1, 12, 0, 0, 0, 1, 1, 0, 9, 9)},
		{"huge value length", raw(1, 22, 0, 0, 0, 1, 0xfe, 0xff, 0xff, 0xff, 0x0f, 0)},
	}
}

// produceOld sends message sets of formats 0 and 1 with versions 0 to 2.
func produceOld(s *session) {
	s.createTopic("p-old", 1)
	s.each(0, 0, func(s *session, v int16) {
		if v > 2 {
			return
		}
		s.do("magic 0", produce(v, "p-old", 0, oldMessage(0, "zero")))
		s.do("magic 1", produce(v, "p-old", 0, oldMessage(1, "one")))
		s.do("magic 2", produce(v, "p-old", 0, newBatch(values("two")...).bytes()))
		s.do("empty", produce(v, "p-old", 0, []byte{}))
		s.do("unknown topic", produce(v, "p-missing", 0, oldMessage(0, "zero")))
	})
	s.in("read").masking(ignoreRecords).do("back", s.fetch(12, "p-old", 0, 0))
}

// compress packs a payload with the codec of an attribute.
func compress(codec int16, b []byte) []byte {
	var out bytes.Buffer
	switch codec {
	case 1:
		w := gzip.NewWriter(&out)
		w.Write(b)
		w.Close()
	case 2:
		return s2.EncodeSnappy(nil, b)
	case 3:
		w := lz4.NewWriter(&out)
		w.Apply(lz4.BlockSizeOption(lz4.Block64Kb))
		w.Write(b)
		w.Close()
	case 4:
		w, _ := zstd.NewWriter(nil)
		return w.EncodeAll(b, nil)
	default:
		return b
	}
	return out.Bytes()
}

// produceCodecs sends every codec to topics with every compression.type.
func produceCodecs(s *session) {
	types := []string{"producer", "uncompressed", "gzip", "snappy", "lz4", "zstd"}
	for _, ct := range types {
		s.createTopic("p-codec-"+ct, 1, "compression.type", ct)
	}
	s.createTopic("p-codec-level", 1, "compression.type", "gzip", "compression.gzip.level", "9")
	plain := newBatch(values("a", "b", strings.Repeat("long ", 400))...)
	for codec := int16(0); codec <= 7; codec++ {
		b := plain
		b.attributes, b.payload = codec, compress(codec, plain.payload)
		broken := b
		broken.payload = append([]byte("garbage"), b.payload...)
		short := b
		short.payload = b.payload[:len(b.payload)/2]
		for _, ct := range types {
			for _, v := range []int16{3, 6, 7, 8, 11} {
				s.in("v%d codec %d to %s", v, codec, ct).do("whole", produce(v, "p-codec-"+ct, 0, b.bytes()))
			}
			s.in("codec %d to %s", codec, ct).do("garbled", produce(9, "p-codec-"+ct, 0, broken.bytes()))
			s.do("cut", produce(9, "p-codec-"+ct, 0, short.bytes()))
		}
		s.in("codec %d", codec).do("to level 9", produce(9, "p-codec-level", 0, b.bytes()))
	}
	for _, ct := range types {
		mask := recompressed
		if ct == "producer" {
			mask = exactRecords
		}
		s.in("read").masking(mask).do(ct, s.fetch(12, "p-codec-"+ct, 0, 0))
		if ct == "zstd" {
			for _, v := range []int16{4, 9, 10} {
				s.in("read v%d", v).do(ct, s.fetch(v, "p-codec-"+ct, 0, 0))
			}
		}
	}
}

// produceSettings tries topic settings that validation obeys.
func produceSettings(s *session) {
	s.createTopic("p-small", 1, "max.message.bytes", "200")
	s.createTopic("p-seg", 1, "segment.bytes", "1048576", "max.message.bytes", "5000000")
	s.createTopic("p-before", 1, "message.timestamp.before.max.ms", "1000")
	s.createTopic("p-after", 1, "message.timestamp.after.max.ms", "1000")
	s.createTopic("p-diff", 1, "message.timestamp.difference.max.ms", "1000")
	s.createTopic("p-append", 1, "message.timestamp.type", "LogAppendTime", "message.timestamp.before.max.ms", "1")
	big := newBatch(values(strings.Repeat("x", 300))...)
	huge := newBatch(values(strings.Repeat("x", 1<<20+10))...)
	packed := newBatch(values(strings.Repeat("x", 300))...)
	packed.attributes, packed.payload = 1, compress(1, packed.payload)
	late := newBatch(values("a", "b", "c")...)
	late.baseTimestamp -= 5000
	late.maxTimestamp = late.baseTimestamp + 2
	early := newBatch(values("a", "b", "c")...)
	early.baseTimestamp += 3_000_000
	early.maxTimestamp = early.baseTimestamp + 2
	s.each(0, 3, func(s *session, v int16) {
		s.do("too large", produce(v, "p-small", 0, big.bytes()))
		s.do("large but packed", produce(v, "p-small", 0, packed.bytes()))
		s.do("larger than a segment", produce(v, "p-seg", 0, huge.bytes()))
		s.do("default limit", produce(v, "p-before", 0, huge.bytes()))
		for _, topic := range []string{"p-before", "p-after", "p-diff", "p-append"} {
			s.do("late to "+topic, produce(v, topic, 0, late.bytes()))
			s.do("early to "+topic, produce(v, topic, 0, early.bytes()))
		}
	})
}

// producePipelined writes several requests before reading any answer.
func producePipelined(s *session) {
	s.createTopic("p-pipe", 1)
	s.createTopic("p-pipe-still", 1)
	s.fill("p-pipe-still", 0, "a", "b")
	var all []*pending
	for i := range 8 {
		all = append(all, s.in("round %d", i).start("produce", produce(int16(3+i), "p-pipe", 0, newBatch(values("a")...).bytes())))
		all = append(all, s.start("versions", apiVersionsRequest(int16(i%5), "a", "1")))
		all = append(all, s.start("fetch", s.fetch(12, "p-pipe-still", 0, 0)))
		all = append(all, s.start("bad", produce(9, "p-none", 0, newBatch(values("a")...).bytes())))
	}
	for _, p := range all {
		p.finish()
	}
}
