package load

import (
	"encoding/binary"
	"testing"

	"github.com/twmb/franz-go/pkg/kmsg"

	"gregor/protocol/record"
)

// TestBatch has the product read what the load generator builds, an idempotent producer's and a stamped one as well.
func TestBatch(t *testing.T) {
	for _, shape := range [][2]int{{15, 1024}, {900, 1024}, {1, 100}} {
		batch := Batch(shape[0], shape[1])
		Stamp(batch, 12345)
		identify(batch, 77, 30)
		b, _, err := record.Split(batch)
		if err != nil {
			t.Fatal(err)
		}
		n := 0
		if err := b.Each(1<<20, func(r record.Record) error {
			if n++; len(r.Value) != shape[1] {
				t.Errorf("a value of %d bytes, want %d", len(r.Value), shape[1])
			}
			return nil
		}); err != nil || n != shape[0] {
			t.Errorf("%d records, want %d; %v", n, shape[0], err)
		}
		if b.ProducerID() != 77 || b.ProducerEpoch() != 0 || b.BaseSequence() != 30 || Timestamp(batch) != 12345 {
			t.Errorf("producer %d, epoch %d, sequence %d, timestamp %d", b.ProducerID(), b.ProducerEpoch(), b.BaseSequence(), Timestamp(batch))
		}
	}
}

// TestAdvance reads an answer with a whole and a cut batch, and one that holds no whole batch.
func TestAdvance(t *testing.T) {
	batch := Batch(15, 1024)
	binary.BigEndian.PutUint64(batch, 100)
	answer := func(records []byte) []byte {
		resp := kmsg.NewPtrFetchResponse()
		resp.Version = 11
		p := kmsg.NewFetchResponseTopicPartition()
		p.Partition, p.RecordBatches = 1, records
		topic := kmsg.NewFetchResponseTopic()
		topic.Partitions = append(topic.Partitions, p)
		resp.Topics = append(resp.Topics, topic)
		return resp.AppendTo(nil)
	}
	offsets := []int64{7, 7}
	reader := Reader{Offsets: offsets}
	n, err := reader.advance(answer(append(append([]byte(nil), batch...), batch[:100]...)))
	if err != nil || n != int64(len(batch)+100) || offsets[0] != 7 || offsets[1] != 115 {
		t.Errorf("advance = %d, %v; offsets %v", n, err, offsets)
	}
	later := Reader{First: 1, Offsets: []int64{7}}
	if _, err := later.advance(answer(batch)); err != nil || later.Offsets[0] != 115 {
		t.Errorf("from partition 1 on: offsets %v, %v", later.Offsets, err)
	}
	if _, err := (&Reader{First: 2, Offsets: []int64{7}}).advance(answer(batch)); err == nil {
		t.Error("an answer about a partition that was not asked for is taken")
	}
	if _, err := reader.advance(answer(batch[:100])); err == nil {
		t.Error("an answer without a whole batch is taken")
	}
}

// TestProduceAnswer finds the error of the second partition, and refuses what is cut short.
func TestProduceAnswer(t *testing.T) {
	resp := kmsg.NewPtrProduceResponse()
	resp.Version = 7
	topic := kmsg.NewProduceResponseTopic()
	topic.Topic = "topic"
	for i := range int32(2) {
		p := kmsg.NewProduceResponseTopicPartition()
		p.Partition, p.BaseOffset = i, int64(40+i)
		topic.Partitions = append(topic.Partitions, p)
	}
	resp.Topics = append(resp.Topics, topic)
	if code, offset := ProduceAnswer(resp.AppendTo(nil)); code != 0 || offset != 41 {
		t.Errorf("ProduceAnswer = %d, %d", code, offset)
	}
	topic.Partitions[1].ErrorCode = 19
	body := resp.AppendTo(nil)
	if code, _ := ProduceAnswer(body); code != 19 {
		t.Errorf("ProduceAnswer = %d, want 19", code)
	}
	for n := range body[:len(body)-4] { // the throttle time at the end may be missing
		if code, _ := ProduceAnswer(body[:n]); code == 0 {
			t.Errorf("%d of %d bytes are taken", n, len(body))
		}
	}
}
