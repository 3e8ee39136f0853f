package differential

import (
	"fmt"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// offScenarios ask for what needs a feature that both brokers run without, or that gregor does not have yet.
func offScenarios() []scenario {
	return []scenario{
		{"sasl", saslOff},
		{"acls", aclsOff},
		{"delegation tokens", tokensOff},
		{"client quotas", clientQuotas},
		{"scram", scram},
		{"new consumer groups", newGroups},
		{"zookeeper offsets", zooKeeperOffsets},
		{"transactions", transactions},
	}
}

func saslOff(s *session) {
	s.each(17, 0, func(s *session, v int16) {
		for _, mechanism := range []string{"PLAIN", "SCRAM-SHA-256", "", "x"} {
			s.in("handshake v%d %q", v, mechanism).do("", at(v, &kmsg.SASLHandshakeRequest{Mechanism: mechanism}))
		}
	})
	s.each(36, 0, func(s *session, v int16) {
		s.in("authenticate v%d", v).do("", at(v, &kmsg.SASLAuthenticateRequest{SASLAuthBytes: []byte("\x00a\x00b")}))
		s.do("empty", at(v, &kmsg.SASLAuthenticateRequest{SASLAuthBytes: []byte{}}))
	})
}

func aclsOff(s *session) {
	s.each(29, 0, func(s *session, v int16) {
		for _, c := range [][4]int8{{2, 3, 2, 3}, {0, 3, 2, 3}, {2, 0, 2, 3}, {2, 3, 0, 3}, {2, 3, 2, 0}, {1, 1, 1, 1}, {99, 3, 2, 3}, {2, 99, 2, 3}, {2, 3, 99, 3}, {2, 3, 2, 99}} {
			name := ptr("x")
			s.in("describe v%d %v", v, c).do("", at(v, &kmsg.DescribeACLsRequest{
				ResourceType: kmsg.ACLResourceType(c[0]), ResourceName: name, ResourcePatternType: kmsg.ACLResourcePatternType(c[1]), Operation: kmsg.ACLOperation(c[2]), PermissionType: kmsg.ACLPermissionType(c[3]),
			}))
			s.in("delete v%d %v", v, c).do("", at(v, &kmsg.DeleteACLsRequest{Filters: []kmsg.DeleteACLsRequestFilter{{
				ResourceType: kmsg.ACLResourceType(c[0]), ResourceName: name, ResourcePatternType: kmsg.ACLResourcePatternType(c[1]), Operation: kmsg.ACLOperation(c[2]), PermissionType: kmsg.ACLPermissionType(c[3]),
			}}}))
			s.in("create v%d %v", v, c).do("", at(v, &kmsg.CreateACLsRequest{Creations: []kmsg.CreateACLsRequestCreation{{
				ResourceType: kmsg.ACLResourceType(c[0]), ResourceName: "x", ResourcePatternType: kmsg.ACLResourcePatternType(c[1]), Principal: "User:a", Host: "*", Operation: kmsg.ACLOperation(c[2]), PermissionType: kmsg.ACLPermissionType(c[3]),
			}}}))
		}
		s.in("none v%d", v).do("create", at(v, &kmsg.CreateACLsRequest{}))
		s.do("delete", at(v, &kmsg.DeleteACLsRequest{}))
		s.do("describe any", at(v, &kmsg.DescribeACLsRequest{ResourceType: 1, ResourcePatternType: 1, Operation: 1, PermissionType: 1}))
	})
}

func tokensOff(s *session) {
	s.each(38, 0, func(s *session, v int16) {
		s.in("create v%d", v).do("", at(v, &kmsg.CreateDelegationTokenRequest{MaxLifetimeMillis: -1}))
		s.do("for another", at(v, &kmsg.CreateDelegationTokenRequest{MaxLifetimeMillis: -1, OwnerPrincipalType: ptr("User"), OwnerPrincipalName: ptr("b")}))
	})
	s.each(39, 0, func(s *session, v int16) {
		s.in("renew v%d", v).do("", at(v, &kmsg.RenewDelegationTokenRequest{HMAC: []byte("x"), RenewTimeMillis: 1}))
	})
	s.each(40, 0, func(s *session, v int16) {
		s.in("expire v%d", v).do("", at(v, &kmsg.ExpireDelegationTokenRequest{HMAC: []byte("x"), ExpiryPeriodMillis: 1}))
	})
	s.each(41, 0, func(s *session, v int16) {
		s.in("describe v%d", v).do("", at(v, &kmsg.DescribeDelegationTokenRequest{}))
		s.do("of nobody", at(v, &kmsg.DescribeDelegationTokenRequest{Owners: []kmsg.DescribeDelegationTokenRequestOwner{}}))
		s.do("of one", at(v, &kmsg.DescribeDelegationTokenRequest{Owners: []kmsg.DescribeDelegationTokenRequestOwner{{PrincipalType: "User", PrincipalName: "a"}}}))
	})
}

func clientQuotas(s *session) {
	s.each(48, 0, func(s *session, v int16) {
		ask := func(label string, strict bool, components ...kmsg.DescribeClientQuotasRequestComponent) {
			s.in("describe v%d", v).do(label, at(v, &kmsg.DescribeClientQuotasRequest{Components: components, Strict: strict}))
		}
		type C = kmsg.DescribeClientQuotasRequestComponent
		ask("all", false)
		ask("user", false, C{EntityType: "user", MatchType: 2})
		ask("strict user", true, C{EntityType: "user", MatchType: 0, Match: ptr("a")})
		ask("default client", false, C{EntityType: "client-id", MatchType: 1})
		ask("unknown type", false, C{EntityType: "strange", MatchType: 2})
		ask("empty type", false, C{EntityType: "", MatchType: 2})
		ask("twice", false, C{EntityType: "user", MatchType: 2}, C{EntityType: "user", MatchType: 2})
		ask("unknown match", false, C{EntityType: "user", MatchType: 9})
		ask("ip and user", false, C{EntityType: "ip", MatchType: 2}, C{EntityType: "user", MatchType: 2})
	})
	s.each(49, 0, func(s *session, v int16) {
		ask := func(label, kind string, name *string, key string, value float64) {
			s.in("alter v%d", v).do(label, at(v, &kmsg.AlterClientQuotasRequest{ValidateOnly: true, Entries: []kmsg.AlterClientQuotasRequestEntry{{
				Entity: []kmsg.AlterClientQuotasRequestEntryEntity{{Type: kind, Name: name}}, Ops: []kmsg.AlterClientQuotasRequestEntryOp{{Key: key, Value: value}},
			}}}))
		}
		ask("good", "user", ptr("a"), "producer_byte_rate", 1000)
		ask("unknown key", "user", ptr("a"), "strange", 1000)
		ask("unknown type", "strange", ptr("a"), "producer_byte_rate", 1000)
		ask("fraction", "user", ptr("a"), "producer_byte_rate", 0.5)
		s.do("none", at(v, &kmsg.AlterClientQuotasRequest{}))
	})
}

func scram(s *session) {
	s.do("describe all", &kmsg.DescribeUserSCRAMCredentialsRequest{})
	s.do("describe nobody", &kmsg.DescribeUserSCRAMCredentialsRequest{Users: []kmsg.DescribeUserSCRAMCredentialsRequestUser{}})
	s.do("describe unknown", &kmsg.DescribeUserSCRAMCredentialsRequest{Users: []kmsg.DescribeUserSCRAMCredentialsRequestUser{{Name: "a"}, {Name: "b"}}})
	s.do("describe twice", &kmsg.DescribeUserSCRAMCredentialsRequest{Users: []kmsg.DescribeUserSCRAMCredentialsRequestUser{{Name: "a"}, {Name: "a"}}})
	s.do("describe nameless", &kmsg.DescribeUserSCRAMCredentialsRequest{Users: []kmsg.DescribeUserSCRAMCredentialsRequestUser{{Name: ""}}})
	s.do("delete unknown", &kmsg.AlterUserSCRAMCredentialsRequest{Deletions: []kmsg.AlterUserSCRAMCredentialsRequestDeletion{{Name: "a", Mechanism: 1}}})
	s.do("delete with unknown mechanism", &kmsg.AlterUserSCRAMCredentialsRequest{Deletions: []kmsg.AlterUserSCRAMCredentialsRequestDeletion{{Name: "a", Mechanism: 9}}})
	s.do("too few iterations", &kmsg.AlterUserSCRAMCredentialsRequest{Upsertions: []kmsg.AlterUserSCRAMCredentialsRequestUpsertion{{Name: "a", Mechanism: 1, Iterations: 5, Salt: []byte("s"), SaltedPassword: []byte("p")}}})
	s.do("none", &kmsg.AlterUserSCRAMCredentialsRequest{})
}

func newGroups(s *session) {
	s.do("heartbeat", &kmsg.ConsumerGroupHeartbeatRequest{Group: "ng", MemberID: "m", RebalanceTimeoutMillis: 1000, SubscribedTopicNames: []string{"a"}})
	s.do("heartbeat empty", &kmsg.ConsumerGroupHeartbeatRequest{})
	s.do("describe", &kmsg.ConsumerGroupDescribeRequest{Groups: []string{"ng", "nh"}})
	s.do("describe none", &kmsg.ConsumerGroupDescribeRequest{})
}

// zooKeeperOffsets uses version 0 of OffsetCommit and OffsetFetch.
func zooKeeperOffsets(s *session) {
	s.coordinatorReady()
	s.createTopic("zo-one", 1)
	s.do("fetch before", offsetFetchRequest(0, "zo", []kmsg.OffsetFetchRequestTopic{{Topic: "zo-one", Partitions: []int32{0, 5}}}))
	s.do("commit", commitRequest(0, "zo", "", -1, "zo-one", commitAt(0, 5, ptr("m"))))
	s.do("commit unknown", commitRequest(0, "zo", "", -1, "zo-none", commitAt(0, 5, nil)))
	s.do("fetch after", offsetFetchRequest(0, "zo", []kmsg.OffsetFetchRequestTopic{{Topic: "zo-one", Partitions: []int32{0}}}))
	s.do("fetch unknown", offsetFetchRequest(0, "zo", []kmsg.OffsetFetchRequestTopic{{Topic: "zo-none", Partitions: []int32{0}}}))
	s.do("empty group", offsetFetchRequest(0, "", []kmsg.OffsetFetchRequestTopic{{Topic: "zo-one", Partitions: []int32{0}}}))
	s.do("commit empty group", commitRequest(0, "", "", -1, "zo-one", commitAt(0, 5, nil)))
}

// transactions asks every transactional API about a transactional id nobody has used.
func transactions(s *session) {
	s.createTopic("t-one", 1)
	for v := int16(1); v <= 6; v++ {
		s.in("coordinator v%d", v).until("", at(v, &kmsg.FindCoordinatorRequest{CoordinatorKey: "tx", CoordinatorType: 1, CoordinatorKeys: []string{"tx"}}), func(r kmsg.Response) bool {
			f := r.(*kmsg.FindCoordinatorResponse)
			return f.ErrorCode != 15 && (len(f.Coordinators) == 0 || f.Coordinators[0].ErrorCode != 15)
		})
	}
	s.each(22, 0, func(s *session, v int16) {
		r := initProducerID(v, -1, -1)
		r.TransactionalID = ptr(fmt.Sprint("tx", v))
		s.in("init v%d", v).until("", r, func(r kmsg.Response) bool {
			code := r.(*kmsg.InitProducerIDResponse).ErrorCode
			return code != 14 && code != 16
		})
		r.TransactionTimeoutMillis = -1
		s.do("bad timeout", r)
	})
	s.each(24, 0, func(s *session, v int16) {
		r := at(v, &kmsg.AddPartitionsToTxnRequest{
			TransactionalID: "nobody", ProducerID: 5, Topics: []kmsg.AddPartitionsToTxnRequestTopic{{Topic: "t-one", Partitions: []int32{0}}},
			Transactions: []kmsg.AddPartitionsToTxnRequestTransaction{{TransactionalID: "nobody", ProducerID: 5, Topics: []kmsg.AddPartitionsToTxnRequestTransactionTopic{{Topic: "t-one", Partitions: []int32{0}}}}},
		})
		s.in("add partitions v%d", v).do("", r)
		if v >= 4 {
			r.Transactions = nil
			s.doMute("none", r)
		}
	})
	s.each(25, 0, func(s *session, v int16) {
		s.in("add offsets v%d", v).do("", at(v, &kmsg.AddOffsetsToTxnRequest{TransactionalID: "nobody", ProducerID: 5, Group: "g"}))
	})
	s.each(26, 0, func(s *session, v int16) {
		s.in("end v%d", v).do("", at(v, &kmsg.EndTxnRequest{TransactionalID: "nobody", ProducerID: 5, Commit: true}))
	})
	s.each(28, 0, func(s *session, v int16) {
		s.in("commit offsets v%d", v).do("", at(v, &kmsg.TxnOffsetCommitRequest{TransactionalID: "nobody", Group: "g", ProducerID: 5, Generation: -1, Topics: []kmsg.TxnOffsetCommitRequestTopic{{
			Topic: "t-one", Partitions: []kmsg.TxnOffsetCommitRequestTopicPartition{{Offset: 5, LeaderEpoch: -1}},
		}}}))
		s.do("empty group", at(v, &kmsg.TxnOffsetCommitRequest{TransactionalID: "nobody", ProducerID: 5, Generation: -1}))
	})
	s.each(27, 0, func(s *session, v int16) {
		s.in("markers v%d", v).do("", at(v, &kmsg.WriteTxnMarkersRequest{Markers: []kmsg.WriteTxnMarkersRequestMarker{{
			ProducerID: 5, Committed: true, Topics: []kmsg.WriteTxnMarkersRequestMarkerTopic{{Topic: "t-none", Partitions: []int32{0}}},
		}}}))
		s.do("none", at(v, &kmsg.WriteTxnMarkersRequest{}))
	})
	s.in("describe").do("unknown", &kmsg.DescribeTransactionsRequest{TransactionalIDs: []string{"nobody", ""}})
	s.do("none", &kmsg.DescribeTransactionsRequest{})
	s.each(66, 0, func(s *session, v int16) {
		s.in("list v%d", v).do("unknown state", at(v, &kmsg.ListTransactionsRequest{StateFilters: []string{"Strange"}, DurationFilterMillis: -1}))
		s.do("ongoing", at(v, &kmsg.ListTransactionsRequest{StateFilters: []string{"Ongoing"}, DurationFilterMillis: -1}))
		s.do("of a producer", at(v, &kmsg.ListTransactionsRequest{ProducerIDFilters: []int64{987654}, DurationFilterMillis: -1}))
	})
	b := newBatch(values("a")...)
	b.attributes, b.producerID, b.producerEpoch, b.baseSequence = 0x10, 9000, 0, 0
	s.each(0, 3, func(s *session, v int16) {
		r := produce(v, "t-one", 0, b.bytes())
		r.TransactionID = ptr("nobody")
		s.in("produce v%d", v).do("", r)
	})
}
