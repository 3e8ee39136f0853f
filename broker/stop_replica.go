package broker

import "github.com/twmb/franz-go/pkg/kmsg"

// StopReplica 0–4: the controller takes replicas off this broker, with their logs when the topic is deleted or the replica moved.

func init() { handle(stopReplica) }

func stopReplica(b *Broker, _ *request, r *kmsg.StopReplicaRequest) (kmsg.Response, error) {
	return b.replicas.StopReplica(r), nil
}
