package broker

import (
	"github.com/twmb/franz-go/pkg/kmsg"

	"gregor/protocol"
)

// WriteTxnMarkers (27), versions 0-1.
//
// Differences from Apache: there are no transactions yet: every partition is answered UNSUPPORTED_VERSION.

func init() { handle(writeTxnMarkers) }

func writeTxnMarkers(_ *Broker, _ *request, r *kmsg.WriteTxnMarkersRequest) (kmsg.Response, error) {
	resp := responseTo[*kmsg.WriteTxnMarkersResponse](r)
	for _, m := range r.Markers {
		marker := kmsg.NewWriteTxnMarkersResponseMarker()
		marker.ProducerID = m.ProducerID
		for _, t := range m.Topics {
			topic := kmsg.NewWriteTxnMarkersResponseMarkerTopic()
			topic.Topic = t.Topic
			for _, p := range t.Partitions {
				partition := kmsg.NewWriteTxnMarkersResponseMarkerTopicPartition()
				partition.Partition, partition.ErrorCode = p, int16(protocol.UnsupportedVersion)
				topic.Partitions = append(topic.Partitions, partition)
			}
			marker.Topics = append(marker.Topics, topic)
		}
		resp.Markers = append(resp.Markers, marker)
	}
	return resp, nil
}
