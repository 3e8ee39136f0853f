package differential

import (
	"fmt"
	"strings"

	"github.com/twmb/franz-go/pkg/kmsg"
)

func commitRequest(v int16, group, member string, generation int32, topic string, partitions ...kmsg.OffsetCommitRequestTopicPartition) *kmsg.OffsetCommitRequest {
	return at(v, &kmsg.OffsetCommitRequest{
		Group: group, Generation: generation, MemberID: member, RetentionTimeMillis: -1,
		Topics: []kmsg.OffsetCommitRequestTopic{{Topic: topic, Partitions: partitions}},
	})
}

func commitAt(partition int32, offset int64, metadata *string) kmsg.OffsetCommitRequestTopicPartition {
	return kmsg.OffsetCommitRequestTopicPartition{Partition: partition, Offset: offset, Timestamp: -1, LeaderEpoch: -1, Metadata: metadata}
}

func offsetCommit(s *session) {
	s.coordinatorReady()
	s.createTopic("g-commit", 3)
	s.each(8, 1, func(s *session, v int16) {
		group := fmt.Sprintf("commit-%d", v)
		c := func(label, group, member string, generation int32, topic string, ps ...kmsg.OffsetCommitRequestTopicPartition) {
			s.do(label, commitRequest(v, group, member, generation, topic, ps...))
		}
		c("simple", group, "", -1, "g-commit", commitAt(0, 5, ptr("meta")), commitAt(1, 7, nil))
		c("epoch", group, "", -1, "g-commit", kmsg.OffsetCommitRequestTopicPartition{Partition: 2, Offset: 9, Timestamp: -1, LeaderEpoch: 4, Metadata: ptr("")})
		c("unknown partition", group, "", -1, "g-commit", commitAt(0, 6, nil), commitAt(9, 1, nil))
		c("negative partition", group, "", -1, "g-commit", commitAt(-1, 1, nil))
		c("unknown topic", group, "", -1, "g-none", commitAt(0, 1, nil))
		c("bad topic", group, "", -1, "g/none", commitAt(0, 1, nil))
		c("negative offset", group, "", -1, "g-commit", commitAt(0, -1, nil))
		c("offset -100", group, "", -1, "g-commit", commitAt(2, -100, nil))
		c("long metadata", group, "", -1, "g-commit", commitAt(0, 8, ptr(strings.Repeat("m", 65))), commitAt(1, 8, ptr(strings.Repeat("m", 64))))
		c("no partitions", group, "", -1, "g-commit")
		c("partition twice", group, "", -1, "g-commit", commitAt(0, 20, nil), commitAt(0, 21, nil))
		s.do("no topics", at(v, &kmsg.OffsetCommitRequest{Group: group, Generation: -1}))
		c("generation of nobody", group, "", 1, "g-commit", commitAt(0, 1, nil))
		c("member of nobody", group, "m", -1, "g-commit", commitAt(0, 1, nil))
		c("member of a missing group", group+"-none", "m", 1, "g-commit", commitAt(0, 1, nil))
		me := s.joined("member", join(3, group, "")).MemberID
		c("while joining", group, me, 1, "g-commit", commitAt(0, 30, nil))
		s.do("sync", syncGroup(3, group, me, 1, me, "x"))
		c("as member", group, me, 1, "g-commit", commitAt(0, 31, nil))
		c("wrong generation", group, me, 2, "g-commit", commitAt(0, 32, nil))
		c("simple into a living group", group, "", -1, "g-commit", commitAt(0, 33, nil))
		c("unknown member", group, "who", 1, "g-commit", commitAt(0, 34, nil))
		s.do("leave", leave(3, group, me))
		c("simple again", group, "", -1, "g-commit", commitAt(0, 35, nil))
		retention := commitRequest(v, group, "", -1, "g-commit", commitAt(1, 36, nil))
		retention.RetentionTimeMillis = 1
		s.do("retention 1 ms", retention)
		s.do("read back", offsetFetchRequest(5, group, nil))
	})
}

func offsetFetchRequest(v int16, group string, topics []kmsg.OffsetFetchRequestTopic) *kmsg.OffsetFetchRequest {
	r := at(v, &kmsg.OffsetFetchRequest{Group: group, Topics: topics})
	g := kmsg.OffsetFetchRequestGroup{Group: group, MemberEpoch: -1}
	for _, t := range topics {
		g.Topics = append(g.Topics, kmsg.OffsetFetchRequestGroupTopic{Topic: t.Topic, Partitions: t.Partitions})
	}
	r.Groups = []kmsg.OffsetFetchRequestGroup{g}
	return r
}

func offsetFetch(s *session) {
	s.coordinatorReady()
	s.createTopic("g-fetch", 2)
	s.do("prepare", commitRequest(7, "of", "", -1, "g-fetch", commitAt(0, 5, ptr("meta")), kmsg.OffsetCommitRequestTopicPartition{Partition: 1, Offset: 6, LeaderEpoch: 3}))
	type T = kmsg.OffsetFetchRequestTopic
	s.each(9, 1, func(s *session, v int16) {
		ask := func(label, group string, topics []T) { s.do(label, offsetFetchRequest(v, group, topics)) }
		ask("both", "of", []T{{Topic: "g-fetch", Partitions: []int32{0, 1}}})
		ask("unknown partition", "of", []T{{Topic: "g-fetch", Partitions: []int32{0, 9, -1}}})
		ask("unknown topic", "of", []T{{Topic: "g-none", Partitions: []int32{0}}})
		ask("no partitions", "of", []T{{Topic: "g-fetch"}})
		ask("empty list", "of", []T{})
		ask("unknown group", "of-none", []T{{Topic: "g-fetch", Partitions: []int32{0}}})
		ask("empty group", "", []T{{Topic: "g-fetch", Partitions: []int32{0}}})
		ask("twice", "of", []T{{Topic: "g-fetch", Partitions: []int32{0, 0}}})
		if v >= 2 {
			ask("all", "of", nil)
			ask("all of an unknown group", "of-none", nil)
		}
		stable := offsetFetchRequest(v, "of", []T{{Topic: "g-fetch", Partitions: []int32{0}}})
		stable.RequireStable = true
		s.do("stable", stable)
		if v < 8 {
			return
		}
		several := offsetFetchRequest(v, "of", []T{{Topic: "g-fetch", Partitions: []int32{0}}})
		several.Groups = append(several.Groups, kmsg.OffsetFetchRequestGroup{Group: "of-none", MemberEpoch: -1}, several.Groups[0])
		s.do("several groups", several)
		several.Groups = nil
		s.doMute("no groups", several)
		member := offsetFetchRequest(v, "of", []T{{Topic: "g-fetch", Partitions: []int32{0}}})
		member.Groups[0].MemberID, member.Groups[0].MemberEpoch = ptr("me"), 3
		s.do("member and epoch", member)
	})
}

func offsetDelete(s *session) {
	s.coordinatorReady()
	s.createTopic("g-delete", 3)
	s.do("prepare", commitRequest(7, "od", "", -1, "g-delete", commitAt(0, 5, nil), commitAt(1, 6, nil), commitAt(2, 7, nil)))
	ask := func(label, group, topic string, partitions ...int32) {
		t := kmsg.OffsetDeleteRequestTopic{Topic: topic}
		for _, p := range partitions {
			t.Partitions = append(t.Partitions, kmsg.OffsetDeleteRequestTopicPartition{Partition: p})
		}
		s.do(label, &kmsg.OffsetDeleteRequest{Group: group, Topics: []kmsg.OffsetDeleteRequestTopic{t}})
	}
	ask("one", "od", "g-delete", 0)
	ask("one again", "od", "g-delete", 0)
	ask("unknown partition", "od", "g-delete", 9)
	ask("unknown topic", "od", "g-none", 0)
	ask("unknown group", "od-none", "g-delete", 0)
	ask("empty group", "", "g-delete", 0)
	ask("no partitions", "od", "g-delete")
	s.do("no topics", &kmsg.OffsetDeleteRequest{Group: "od"})
	s.do("left", offsetFetchRequest(5, "od", nil))
	me := s.joined("member", func() *kmsg.JoinGroupRequest {
		r := join(3, "od", "")
		r.Protocols[0].Metadata = subscription("g-delete")
		r.Protocols = r.Protocols[:1]
		return r
	}()).MemberID
	s.do("sync", syncGroup(3, "od", me, 1, me, "x"))
	ask("subscribed", "od", "g-delete", 1)
	s.createTopic("g-delete-2", 1)
	s.do("other topic", commitRequest(7, "od", me, 1, "g-delete-2", commitAt(0, 5, nil)))
	ask("not subscribed", "od", "g-delete-2", 0)
	s.do("leave", leave(3, "od", me))
	ask("after leave", "od", "g-delete", 1, 2)
	strange := join(3, "od-strange", "")
	strange.ProtocolType = "connect"
	other := s.joined("connect", strange).MemberID
	s.do("connect sync", func() kmsg.Request {
		r := syncGroup(3, "od-strange", other, 1, other, "x")
		r.ProtocolType = ptr("connect")
		return r
	}())
	ask("living group of another type", "od-strange", "g-delete", 0)
	s.do("connect leaves", leave(3, "od-strange", other))
}
