package differential

import (
	"fmt"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"
)

func fetchScenarios() []scenario {
	return []scenario{
		{"fetch right", fetchRight},
		{"fetch limits", fetchLimits},
		{"fetch errors", fetchErrors},
		{"fetch long poll", fetchLongPoll},
		{"fetch sessions", fetchSessions},
		{"fetch sessions by id", fetchSessionsByID},
		{"fetch old formats", fetchOld},
		{"list offsets", listOffsets},
		{"list offsets empty", listOffsetsEmpty},
		{"offset for leader epoch", offsetForLeaderEpoch},
	}
}

func fetchRight(s *session) {
	s.createTopic("f-right", 2)
	s.fill("f-right", 0, "a", "b", "c")
	s.each(1, 4, func(s *session, v int16) {
		for _, offset := range []int64{0, 1, 2, 3} {
			for _, isolation := range []int8{0, 1} {
				r := s.fetch(v, "f-right", 0, offset)
				r.IsolationLevel = isolation
				s.in("v%d offset %d isolation %d", v, offset, isolation).do("", r)
			}
		}
		s.in("v%d", v).do("empty partition", s.fetch(v, "f-right", 1, 0))
		rack := s.fetch(v, "f-right", 0, 0)
		rack.Rack = "somewhere"
		s.do("rack", rack)
		both := s.fetch(v, "f-right", 0, 0)
		p := both.Topics[0].Partitions[0]
		p.Partition = 1
		both.Topics[0].Partitions = append(both.Topics[0].Partitions, p)
		s.do("two partitions", both)
		none := s.fetch(v, "f-right", 0, 0)
		none.Topics = nil
		s.do("no topics", none)
		twice := s.fetch(v, "f-right", 0, 0)
		twice.Topics[0].Partitions = append(twice.Topics[0].Partitions, twice.Topics[0].Partitions[0])
		twice.Topics[0].Partitions[1].FetchOffset = 2
		s.do("partition twice", twice)
	})
}

// fetchLimits counts batches under every kind of bound; at least one whole batch always comes.
func fetchLimits(s *session) {
	s.createTopic("f-limits", 2)
	long := strings.Repeat("x", 1000)
	s.fill("f-limits", 0, long, long, long, long)
	s.fill("f-limits", 1, long, long, long, long)
	bounds := []int32{-1, 0, 1, 500, 1068, 1069, 2136, 2137, 2138, 1 << 20, 1<<31 - 1}
	s.each(1, 4, func(s *session, v int16) {
		for _, partitionMax := range bounds {
			for _, max := range []int32{-1, 0, 1, 1500, 3000, 1 << 20, 1<<31 - 1} {
				r := s.fetch(v, "f-limits", 0, 0)
				r.MaxBytes = max
				r.Topics[0].Partitions[0].PartitionMaxBytes = partitionMax
				p := r.Topics[0].Partitions[0]
				p.Partition = 1
				r.Topics[0].Partitions = append(r.Topics[0].Partitions, p)
				s.in("v%d partition max %d max %d", v, partitionMax, max).do("", r)
			}
		}
	})
}

func fetchErrors(s *session) {
	s.createTopic("f-errors", 1)
	s.fill("f-errors", 0, "a", "b")
	s.each(1, 4, func(s *session, v int16) {
		one := func(label string, change func(r *kmsg.FetchRequest, p *kmsg.FetchRequestTopicPartition)) {
			r := s.fetch(v, "f-errors", 0, 0)
			change(r, &r.Topics[0].Partitions[0])
			s.do(label, r)
		}
		for _, offset := range []int64{3, 100, -1, -2, -100} {
			one(fmt.Sprint("offset ", offset), func(_ *kmsg.FetchRequest, p *kmsg.FetchRequestTopicPartition) { p.FetchOffset = offset })
		}
		one("unknown partition", func(_ *kmsg.FetchRequest, p *kmsg.FetchRequestTopicPartition) { p.Partition = 5 })
		one("negative partition", func(_ *kmsg.FetchRequest, p *kmsg.FetchRequestTopicPartition) { p.Partition = -1 })
		one("unknown topic", func(r *kmsg.FetchRequest, _ *kmsg.FetchRequestTopicPartition) {
			r.Topics[0].Topic, r.Topics[0].TopicID = "f-unknown", [16]byte{1}
		})
		one("zero topic id", func(r *kmsg.FetchRequest, _ *kmsg.FetchRequestTopicPartition) {
			r.Topics[0].Topic, r.Topics[0].TopicID = "", [16]byte{}
		})
		one("isolation 2", func(r *kmsg.FetchRequest, _ *kmsg.FetchRequestTopicPartition) { r.IsolationLevel = 2 })
		one("epoch 0", func(_ *kmsg.FetchRequest, p *kmsg.FetchRequestTopicPartition) { p.CurrentLeaderEpoch = 0 })
		one("epoch too new", func(_ *kmsg.FetchRequest, p *kmsg.FetchRequestTopicPartition) { p.CurrentLeaderEpoch = 9 })
		one("epoch -2", func(_ *kmsg.FetchRequest, p *kmsg.FetchRequestTopicPartition) { p.CurrentLeaderEpoch = -2 })
		for _, last := range []int32{0, 1, 9, -2} {
			one(fmt.Sprint("last fetched epoch ", last), func(_ *kmsg.FetchRequest, p *kmsg.FetchRequestTopicPartition) {
				p.LastFetchedEpoch, p.FetchOffset = last, 2
			})
			one(fmt.Sprint("last fetched epoch at 0: ", last), func(_ *kmsg.FetchRequest, p *kmsg.FetchRequestTopicPartition) {
				p.LastFetchedEpoch = last
			})
			one(fmt.Sprint("last fetched epoch beyond: ", last), func(_ *kmsg.FetchRequest, p *kmsg.FetchRequestTopicPartition) {
				p.LastFetchedEpoch, p.FetchOffset = last, 5
			})
		}
		one("replica 1", func(r *kmsg.FetchRequest, _ *kmsg.FetchRequestTopicPartition) { r.ReplicaID, r.ReplicaState.ID = 1, 1 })
		one("replica -2", func(r *kmsg.FetchRequest, _ *kmsg.FetchRequestTopicPartition) {
			r.ReplicaID, r.ReplicaState.ID = -2, -2
		})
		one("min bytes negative", func(r *kmsg.FetchRequest, _ *kmsg.FetchRequestTopicPartition) { r.MinBytes = -1 })
		one("wait negative", func(r *kmsg.FetchRequest, _ *kmsg.FetchRequestTopicPartition) {
			r.MaxWaitMillis, r.MinBytes = -1, 1<<30
		})
		one("cluster id", func(r *kmsg.FetchRequest, _ *kmsg.FetchRequestTopicPartition) { r.ClusterID = ptr("other") })
	})
}

// fetchLongPoll checks who waits and who does not; a step that should wait notes whether it did.
func fetchLongPoll(s *session) {
	s.createTopic("f-poll", 1)
	s.fill("f-poll", 0, "a")
	timed := func(label string, r *kmsg.FetchRequest) {
		begun := time.Now()
		s.do(label, r)
		if took := time.Since(begun); took > 250*time.Millisecond {
			s.note(label+" waited", "yes")
		} else {
			s.note(label+" waited", "no")
		}
	}
	for _, v := range []int16{4, 11, 12, 17} {
		s.in("v%d", v)
		r := func(offset int64, min int32) *kmsg.FetchRequest {
			r := s.fetch(v, "f-poll", 0, offset)
			r.MaxWaitMillis, r.MinBytes = 400, min
			return r
		}
		timed("at the end", r(1, 1))
		timed("nothing asked", r(1, 0))
		timed("enough", r(0, 1))
		timed("not enough", r(0, 1<<20))
		timed("error", r(50, 1))
		bad := r(1, 1)
		bad.Topics[0].Partitions[0].Partition = 4
		timed("bad partition", bad)
		none := r(1, 1)
		none.Topics = nil
		timed("no topics", none)
	}
	for _, v := range []int16{4, 12, 17} {
		s.in("woken v%d", v)
		end := s.quiet(s.fetch(12, "f-poll", 0, 0)).(*kmsg.FetchResponse).Topics[0].Partitions[0].HighWatermark
		r := s.fetch(v, "f-poll", 0, end)
		r.MaxWaitMillis, r.MinBytes = 10_000, 1
		p := s.start("fetch", r)
		other := s.another()
		other.fill("f-poll", 0, "woken")
		other.close()
		begun := time.Now()
		p.finish()
		if time.Since(begun) > 5*time.Second {
			s.note("woken", "late")
		}
	}
}

// fetchSessions walks through incremental fetch sessions (KIP-227).
func fetchSessions(s *session) { sessions(s, 7, 12) }

// fetchSessionsByID is the same with topic ids (KIP-516).
func fetchSessionsByID(s *session) { sessions(s, 13, 17) }

func sessions(s *session, from, to int16) {
	for v := from; v <= to; v++ {
		topic := "f-session-" + string(rune('a'+v))
		s.in("v%d", v).createTopic(topic, 2)
		s.fill(topic, 0, "a")
		full := s.fetch(v, topic, 0, 0)
		p := full.Topics[0].Partitions[0]
		p.Partition = 1
		full.Topics[0].Partitions = append(full.Topics[0].Partitions, p)
		full.SessionID, full.SessionEpoch = 0, 0
		resp, _ := s.do("open", full).(*kmsg.FetchResponse)
		if resp == nil {
			continue
		}
		next := func(epoch int32, topics ...kmsg.FetchRequestTopic) *kmsg.FetchRequest {
			r := *full
			r.SessionID, r.SessionEpoch, r.Topics = resp.SessionID, epoch, topics
			return &r
		}
		s.do("unchanged offset", next(1))
		moved := full.Topics[0]
		moved.Partitions = []kmsg.FetchRequestTopicPartition{full.Topics[0].Partitions[0]}
		moved.Partitions[0].FetchOffset = 1
		s.do("moved", next(2, moved))
		s.do("nothing new", next(3))
		s.fill(topic, 1, "b")
		s.do("new in 1", next(4))
		s.do("wrong epoch", next(9))
		s.do("still there", next(5))
		forget := next(6)
		forget.ForgottenTopics = []kmsg.FetchRequestForgottenTopic{{Topic: topic, TopicID: moved.TopicID, Partitions: []int32{1}}}
		s.do("forget 1", forget)
		s.do("after forgetting", next(7))
		bad := moved
		bad.Partitions = []kmsg.FetchRequestTopicPartition{bad.Partitions[0]}
		bad.Partitions[0].Partition = 9
		s.do("add unknown partition", next(8, bad))
		s.do("unknown partition again", next(9))
		s.do("epoch negative", next(-7))
		s.do("close", next(-1))
		s.do("after close", next(1))
		unknown := next(3)
		unknown.SessionID = 1
		s.do("unknown id", unknown)
		strange := next(0, moved)
		strange.SessionID = 77
		s.do("unknown id with epoch 0", strange)
		missing := *full
		missing.Topics = []kmsg.FetchRequestTopic{{Topic: "f-none", TopicID: [16]byte{9}, Partitions: moved.Partitions}}
		if resp, _ = s.do("open on a missing topic", &missing).(*kmsg.FetchResponse); resp != nil {
			s.do("missing topic again", next(1))
		}
	}
}

// fetchOld reads with versions that carry message formats 0 and 1.
func fetchOld(s *session) {
	s.createTopic("f-old", 1)
	s.fill("f-old", 0, "a", "b")
	for v := int16(0); v < 4; v++ {
		s.in("v%d", v).do("converted", s.fetch(v, "f-old", 0, 0))
		s.do("unknown topic", s.fetch(v, "f-unknown", 0, 0))
		s.do("out of range", s.fetch(v, "f-old", 0, 50))
	}
}

func listOffsetsRequest(v int16, topic string, partition int32, timestamp int64) *kmsg.ListOffsetsRequest {
	return at(v, &kmsg.ListOffsetsRequest{ReplicaID: -1, Topics: []kmsg.ListOffsetsRequestTopic{{
		Topic:      topic,
		Partitions: []kmsg.ListOffsetsRequestTopicPartition{{Partition: partition, CurrentLeaderEpoch: -1, Timestamp: timestamp, MaxNumOffsets: 1}},
	}}})
}

func listOffsets(s *session) {
	s.createTopic("l-offsets", 2)
	for i, delta := range []int64{0, 1000, 500, 3000, 2000, 2000} {
		b := newBatch(values(strings.Repeat("v", i+1))...)
		b.baseTimestamp, b.maxTimestamp = base+delta, base+delta
		s.quiet(produce(9, "l-offsets", 0, b.bytes()))
	}
	many := newBatch(record{value: []byte("a"), timeDelta: 10_000}, record{value: []byte("b"), timeDelta: 12_000}, record{value: []byte("c"), timeDelta: 11_000})
	s.quiet(produce(9, "l-offsets", 0, many.bytes()))
	packed := many
	packed.attributes, packed.payload = 1, compress(1, many.payload)
	packed.baseTimestamp, packed.maxTimestamp = base+20_000, base+32_000
	s.quiet(produce(9, "l-offsets", 0, packed.bytes()))
	s.each(2, 0, func(s *session, v int16) {
		times := []int64{-1, -2, -3, -4, -5, -6, -100, 0, base - 1, base, base + 1, base + 600, base + 1000, base + 2500, base + 3000, base + 3001,
			base + 10_500, base + 12_000, base + 12_001, base + 31_000, base + 32_000, base + 32_001, 1 << 60}
		for _, t := range times {
			label := t
			if t > 1<<40 && t < 1<<59 {
				label = t - base
			}
			for _, partition := range []int32{0, 1} {
				for _, isolation := range []int8{0, 1} {
					r := listOffsetsRequest(v, "l-offsets", partition, t)
					r.IsolationLevel = isolation
					s.in("v%d partition %d isolation %d time %d", v, partition, isolation, label).do("", r)
				}
			}
		}
		s.in("v%d", v)
		one := func(label string, change func(r *kmsg.ListOffsetsRequest, p *kmsg.ListOffsetsRequestTopicPartition)) {
			r := listOffsetsRequest(v, "l-offsets", 0, -1)
			change(r, &r.Topics[0].Partitions[0])
			s.do(label, r)
		}
		type R = kmsg.ListOffsetsRequest
		type P = kmsg.ListOffsetsRequestTopicPartition
		one("unknown partition", func(_ *R, p *P) { p.Partition = 7 })
		one("negative partition", func(_ *R, p *P) { p.Partition = -7 })
		one("unknown topic", func(r *R, _ *P) { r.Topics[0].Topic = "l-unknown" })
		one("bad topic", func(r *R, _ *P) { r.Topics[0].Topic = "l/unknown" })
		one("epoch 0", func(_ *R, p *P) { p.CurrentLeaderEpoch = 0 })
		one("epoch too new", func(_ *R, p *P) { p.CurrentLeaderEpoch = 4 })
		one("epoch -2", func(_ *R, p *P) { p.CurrentLeaderEpoch = -2 })
		one("isolation 2", func(r *R, _ *P) { r.IsolationLevel = 2 })
		one("isolation -1", func(r *R, _ *P) { r.IsolationLevel = -1 })
		one("replica 5", func(r *R, _ *P) { r.ReplicaID = 5 })
		one("replica -2", func(r *R, _ *P) { r.ReplicaID = -2 })
		one("no topics", func(r *R, _ *P) { r.Topics = nil })
		one("twice", func(r *R, p *P) { r.Topics[0].Partitions = append(r.Topics[0].Partitions, *p) })
		one("max offsets 0", func(_ *R, p *P) { p.MaxNumOffsets = 0 })
		one("max offsets 100", func(_ *R, p *P) { p.MaxNumOffsets = 100 })
	})
}

// listOffsetsEmpty looks at logs without records, and with a raised start.
func listOffsetsEmpty(s *session) {
	s.createTopic("l-empty", 1)
	s.createTopic("l-cut", 1)
	s.fill("l-cut", 0, "a", "b", "c")
	s.do("delete records", deleteRecordsRequest(2, "l-cut", 0, 2))
	s.each(2, 0, func(s *session, v int16) {
		for _, topic := range []string{"l-empty", "l-cut"} {
			for _, t := range []int64{-1, -2, -3, -4, -5, 0, base, base + 1} {
				s.in("v%d %s %d", v, topic, min(t, 1<<40)+max(0, t-base)).do("", listOffsetsRequest(v, topic, 0, t))
			}
		}
	})
	s.in("fetch").do("below the start", s.fetch(12, "l-cut", 0, 1))
	s.do("at the start", s.fetch(12, "l-cut", 0, 2))
	s.do("by id below the start", s.fetch(17, "l-cut", 0, 0))
}

func offsetForLeaderEpoch(s *session) {
	s.createTopic("l-epoch", 2)
	s.fill("l-epoch", 0, "a", "b")
	s.each(23, 0, func(s *session, v int16) {
		ask := func(label, topic string, partition, current, epoch, replica int32) {
			s.do(label, at(v, &kmsg.OffsetForLeaderEpochRequest{ReplicaID: replica, Topics: []kmsg.OffsetForLeaderEpochRequestTopic{{
				Topic:      topic,
				Partitions: []kmsg.OffsetForLeaderEpochRequestTopicPartition{{Partition: partition, CurrentLeaderEpoch: current, LeaderEpoch: epoch}},
			}}}))
		}
		for _, epoch := range []int32{0, 1, -1, -2, 100} {
			s.in("v%d epoch %d", v, epoch)
			ask("filled", "l-epoch", 0, -1, epoch, -1)
			ask("empty", "l-epoch", 1, -1, epoch, -1)
			ask("current 0", "l-epoch", 0, 0, epoch, -1)
			ask("current 3", "l-epoch", 0, 3, epoch, -1)
			ask("current -2", "l-epoch", 0, -2, epoch, -1)
			ask("replica -2", "l-epoch", 0, -1, epoch, -2)
			ask("replica 4", "l-epoch", 0, -1, epoch, 4)
			ask("unknown partition", "l-epoch", 6, -1, epoch, -1)
			ask("unknown topic", "l-none", 0, -1, epoch, -1)
		}
		s.in("v%d", v).do("nothing", at(v, &kmsg.OffsetForLeaderEpochRequest{ReplicaID: -1}))
	})
}
