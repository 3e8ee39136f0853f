package protocol

import "strconv"

// String is Kafka's name of the error, such as OFFSET_OUT_OF_RANGE. A code that Kafka 3.9 does not have is its number.
func (c ErrorCode) String() string {
	if d, ok := c.description(); ok {
		return d.name
	}
	return strconv.Itoa(int(c))
}

// Error makes the code usable as a Go error; it is the name.
func (c ErrorCode) Error() string { return c.String() }

// Message explains the error in one line; it is what an error_message field says where nothing more exact is known.
// It is empty for None and for codes that Kafka 3.9 does not have.
func (c ErrorCode) Message() string {
	d, _ := c.description()
	return d.message
}

// errorDescription is what people get to see of an error code.
type errorDescription struct{ name, message string }

func (c ErrorCode) description() (errorDescription, bool) {
	i := int(c) - int(UnknownServerError)
	if i < 0 || i >= len(errorDescriptions) {
		return errorDescription{}, false
	}
	return errorDescriptions[i], true
}

// errorDescriptions begins with UnknownServerError (-1) and has no holes. The names are those of
// org.apache.kafka.common.protocol.Errors, which tools print and match; the sentences are ours.
var errorDescriptions = [...]errorDescription{
	{"UNKNOWN_SERVER_ERROR", "The server met an unexpected error while handling the request."},
	{"NONE", ""},
	{"OFFSET_OUT_OF_RANGE", "The offset lies outside the offsets this partition holds."},
	{"CORRUPT_MESSAGE", "The record set fails its checksum, has an impossible size, or is damaged in another way."},
	{"UNKNOWN_TOPIC_OR_PARTITION", "This server does not host this topic-partition."},
	{"INVALID_FETCH_SIZE", "The fetch size is not valid."},
	{"LEADER_NOT_AVAILABLE", "The partition has no leader at the moment; an election is under way."},
	{"NOT_LEADER_OR_FOLLOWER", "This broker is not the leader, or not a replica, of the partition as the request requires."},
	{"REQUEST_TIMED_OUT", "The request was not completed within its time."},
	{"BROKER_NOT_AVAILABLE", "The broker is not available."},
	{"REPLICA_NOT_AVAILABLE", "The replica is not available for this topic-partition."},
	{"MESSAGE_TOO_LARGE", "The record batch is larger than the server accepts for this topic."},
	{"STALE_CONTROLLER_EPOCH", "The controller has been succeeded by one on another broker."},
	{"OFFSET_METADATA_TOO_LARGE", "The metadata string of the offset commit is too large."},
	{"NETWORK_EXCEPTION", "The connection was lost before an answer came."},
	{"COORDINATOR_LOAD_IN_PROGRESS", "The coordinator is still loading its state and cannot serve requests yet."},
	{"COORDINATOR_NOT_AVAILABLE", "The coordinator is not available."},
	{"NOT_COORDINATOR", "This broker is not the right coordinator."},
	{"INVALID_TOPIC_EXCEPTION", "The request names a topic that is not valid for this operation."},
	{"RECORD_LIST_TOO_LARGE", "The record batch is larger than a log segment may be."},
	{"NOT_ENOUGH_REPLICAS", "Fewer replicas are in sync than the topic requires; nothing was written."},
	{"NOT_ENOUGH_REPLICAS_AFTER_APPEND", "The records were written, but to fewer in-sync replicas than required."},
	{"INVALID_REQUIRED_ACKS", "The required acks of a produce request are not one of -1, 0 and 1."},
	{"ILLEGAL_GENERATION", "The generation is not the current one of the group."},
	{"INCONSISTENT_GROUP_PROTOCOL", "The member's protocol type or its protocols do not match those of the group's other members."},
	{"INVALID_GROUP_ID", "The group id is not valid."},
	{"UNKNOWN_MEMBER_ID", "The coordinator does not know this member."},
	{"INVALID_SESSION_TIMEOUT", "The session timeout lies outside the range the broker allows (group.min.session.timeout.ms to group.max.session.timeout.ms)."},
	{"REBALANCE_IN_PROGRESS", "The group is rebalancing; the member has to join again."},
	{"INVALID_COMMIT_OFFSET_SIZE", "The offset commit is too large to be stored."},
	{"TOPIC_AUTHORIZATION_FAILED", "Access to the topic was denied."},
	{"GROUP_AUTHORIZATION_FAILED", "Access to the group was denied."},
	{"CLUSTER_AUTHORIZATION_FAILED", "The cluster-wide operation was denied."},
	{"INVALID_TIMESTAMP", "The timestamp of a record lies outside the range the topic accepts."},
	{"UNSUPPORTED_SASL_MECHANISM", "The broker does not support this SASL mechanism."},
	{"ILLEGAL_SASL_STATE", "The request is not valid in the current SASL state."},
	{"UNSUPPORTED_VERSION", "The version of this request or feature is not supported."},
	{"TOPIC_ALREADY_EXISTS", "A topic with this name already exists."},
	{"INVALID_PARTITIONS", "The number of partitions is not valid."},
	{"INVALID_REPLICATION_FACTOR", "The replication factor is not positive or exceeds the number of brokers available."},
	{"INVALID_REPLICA_ASSIGNMENT", "The replica assignment is not valid."},
	{"INVALID_CONFIG", "The configuration is not valid."},
	{"NOT_CONTROLLER", "This broker is not the controller of the cluster."},
	{"INVALID_REQUEST", "The request contradicts itself or does not match what the server expects; its log may say more."},
	{"UNSUPPORTED_FOR_MESSAGE_FORMAT", "The message format on the broker does not support this request."},
	{"POLICY_VIOLATION", "The request does not satisfy the configured policy."},
	{"OUT_OF_ORDER_SEQUENCE_NUMBER", "The broker received a sequence number that does not follow the producer's last one."},
	{"DUPLICATE_SEQUENCE_NUMBER", "The broker received a sequence number it has already written."},
	{"INVALID_PRODUCER_EPOCH", "The producer attempted to write with an old epoch."},
	{"INVALID_TXN_STATE", "The producer attempted an operation its transaction's state does not allow."},
	{"INVALID_PRODUCER_ID_MAPPING", "The producer id is not the one assigned to this transactional id."},
	{"INVALID_TRANSACTION_TIMEOUT", "The transaction timeout is larger than the broker allows (transaction.max.timeout.ms)."},
	{"CONCURRENT_TRANSACTIONS", "Another operation of the same transaction is still in progress."},
	{"TRANSACTION_COORDINATOR_FENCED", "The transaction coordinator that sent a marker is no longer the coordinator of that producer."},
	{"TRANSACTIONAL_ID_AUTHORIZATION_FAILED", "Access to the transactional id was denied."},
	{"SECURITY_DISABLED", "Security features are disabled."},
	{"OPERATION_NOT_ATTEMPTED", "The broker did not attempt this operation, because another one of the same request failed."},
	{"KAFKA_STORAGE_ERROR", "The log directory of the partition is offline, or failed during the operation."},
	{"LOG_DIR_NOT_FOUND", "The broker's configuration does not have this log directory."},
	{"SASL_AUTHENTICATION_FAILED", "SASL authentication failed."},
	{"UNKNOWN_PRODUCER_ID", "The broker knows nothing about this producer id any more."},
	{"REASSIGNMENT_IN_PROGRESS", "A reassignment of the partition is in progress."},
	{"DELEGATION_TOKEN_AUTH_DISABLED", "Delegation tokens are not enabled."},
	{"DELEGATION_TOKEN_NOT_FOUND", "The server does not have this delegation token."},
	{"DELEGATION_TOKEN_OWNER_MISMATCH", "The principal is neither owner nor renewer of the token."},
	{"DELEGATION_TOKEN_REQUEST_NOT_ALLOWED", "Delegation token requests are not allowed on plaintext, one-way TLS and token-authenticated connections."},
	{"DELEGATION_TOKEN_AUTHORIZATION_FAILED", "Access to the delegation token was denied."},
	{"DELEGATION_TOKEN_EXPIRED", "The delegation token has expired."},
	{"INVALID_PRINCIPAL_TYPE", "The principal type is not supported."},
	{"NON_EMPTY_GROUP", "The group still has members."},
	{"GROUP_ID_NOT_FOUND", "There is no group with this id."},
	{"FETCH_SESSION_ID_NOT_FOUND", "There is no fetch session with this id."},
	{"INVALID_FETCH_SESSION_EPOCH", "The epoch of the fetch session is not the expected one."},
	{"LISTENER_NOT_FOUND", "The leader has no listener that matches the one this request came through."},
	{"TOPIC_DELETION_DISABLED", "Topic deletion is disabled (delete.topic.enable)."},
	{"FENCED_LEADER_EPOCH", "The leader epoch in the request is older than the broker's."},
	{"UNKNOWN_LEADER_EPOCH", "The leader epoch in the request is newer than the broker's."},
	{"UNSUPPORTED_COMPRESSION_TYPE", "The compression type is not supported in this version of the request."},
	{"STALE_BROKER_EPOCH", "The broker epoch is not the current one."},
	{"OFFSET_NOT_AVAILABLE", "The leader's high watermark has not caught up since its election, so the offset is not known yet."},
	{"MEMBER_ID_REQUIRED", "The member has to join again with the member id it was given."},
	{"PREFERRED_LEADER_NOT_AVAILABLE", "The preferred leader is not available."},
	{"GROUP_MAX_SIZE_REACHED", "The group has as many members as the broker allows (group.max.size)."},
	{"FENCED_INSTANCE_ID", "Another member has joined with the same group.instance.id."},
	{"ELIGIBLE_LEADERS_NOT_AVAILABLE", "No replica that may become leader is available."},
	{"ELECTION_NOT_NEEDED", "The partition has the desired leader already."},
	{"NO_REASSIGNMENT_IN_PROGRESS", "No reassignment of the partition is in progress."},
	{"GROUP_SUBSCRIBED_TO_TOPIC", "The group is subscribed to the topic, so its offsets cannot be deleted."},
	{"INVALID_RECORD", "A record failed the broker's validation and was rejected."},
	{"UNSTABLE_OFFSET_COMMIT", "Offsets of an open transaction are not stable yet."},
	{"THROTTLING_QUOTA_EXCEEDED", "The quota of this client is used up."},
	{"PRODUCER_FENCED", "A newer producer with the same transactional id has fenced this one."},
	{"RESOURCE_NOT_FOUND", "The request names a resource that does not exist."},
	{"DUPLICATE_RESOURCE", "The request names a resource more than once."},
	{"UNACCEPTABLE_CREDENTIAL", "The credential does not meet the requirements."},
	{"INCONSISTENT_VOTER_SET", "The voters of the request are not the expected ones."},
	{"INVALID_UPDATE_VERSION", "The version of the update is not valid."},
	{"FEATURE_UPDATE_FAILED", "The features could not be updated."},
	{"PRINCIPAL_DESERIALIZATION_FAILURE", "The principal of a forwarded request could not be read."},
	{"SNAPSHOT_NOT_FOUND", "The snapshot does not exist."},
	{"POSITION_OUT_OF_RANGE", "The position is not inside the snapshot."},
	{"UNKNOWN_TOPIC_ID", "This server does not know the topic id."},
	{"DUPLICATE_BROKER_REGISTRATION", "A live broker already uses this id."},
	{"BROKER_ID_NOT_REGISTERED", "No broker with this id is registered."},
	{"INCONSISTENT_TOPIC_ID", "The topic id in the log does not match the one in the request."},
	{"INCONSISTENT_CLUSTER_ID", "The cluster id in the request is not that of this server."},
	{"TRANSACTIONAL_ID_NOT_FOUND", "There is no transaction with this transactional id."},
	{"FETCH_SESSION_TOPIC_ID_ERROR", "The fetch session used topic ids differently before."},
	{"INELIGIBLE_REPLICA", "The new in-sync replicas contain one that may not be in it."},
	{"NEW_LEADER_ELECTED", "The change was accepted, and the partition has a new leader by it."},
	{"OFFSET_MOVED_TO_TIERED_STORAGE", "The offset has moved to tiered storage."},
	{"FENCED_MEMBER_EPOCH", "The member epoch is fenced by the coordinator; the member has to give up its partitions and join again."},
	{"UNRELEASED_INSTANCE_ID", "Another member still uses this instance id; it has to leave first."},
	{"UNSUPPORTED_ASSIGNOR", "The group does not support this assignor."},
	{"STALE_MEMBER_EPOCH", "The member epoch is old; retry after the next heartbeat has brought the new one."},
	{"MISMATCHED_ENDPOINT_TYPE", "The request went to an endpoint of the wrong type."},
	{"UNSUPPORTED_ENDPOINT_TYPE", "This endpoint type is not known."},
	{"UNKNOWN_CONTROLLER_ID", "The controller id is not known."},
	{"UNKNOWN_SUBSCRIPTION_ID", "The telemetry subscription is not the client's current one."},
	{"TELEMETRY_TOO_LARGE", "The telemetry push is larger than the broker accepts."},
	{"INVALID_REGISTRATION", "The controller considers the broker registration not valid."},
	{"TRANSACTION_ABORTABLE", "The transaction met an error that it may recover from by aborting."},
	{"INVALID_RECORD_STATE", "The state of the record does not allow this acknowledgement."},
	{"SHARE_SESSION_NOT_FOUND", "There is no share session with this id."},
	{"INVALID_SHARE_SESSION_EPOCH", "The epoch of the share session is not the expected one."},
	{"FENCED_STATE_EPOCH", "The state epoch of the share partition is old."},
	{"INVALID_VOTER_KEY", "The voter key does not match that of the receiving replica."},
	{"DUPLICATE_VOTER", "The voter is already among the voters."},
	{"VOTER_NOT_FOUND", "The voter is not among the voters."},
}
