package zk

import (
	"crypto/rand"
	"encoding/base64"
	"errors"
	"strings"

	"gregor/protocol"
)

// ClusterID reads /cluster/id or creates it with a new random id.
func (c *Client) ClusterID() (string, error) {
	for {
		data, stat, err := c.getOrNil(ClusterIDPath)
		if err != nil {
			return "", err
		}
		if stat != nil {
			return DecodeClusterID(data)
		}
		id := NewTopicID().String()
		err = c.create(ClusterIDPath, encodeClusterID(id))
		if err == nil {
			return id, nil
		}
		if !errors.Is(err, ErrNodeExists) {
			return "", err
		}
	}
}

// NewTopicID is a random type 4 UUID, for topics and for the cluster. As in Kafka, one whose text begins with "-" is not used: command lines would
// take it for an option.
func NewTopicID() protocol.TopicID {
	for {
		var id protocol.TopicID
		rand.Read(id[:]) // never fails
		id[6] = id[6]&0x0f | 0x40
		id[8] = id[8]&0x3f | 0x80
		if !strings.HasPrefix(base64.RawURLEncoding.EncodeToString(id[:]), "-") {
			return id
		}
	}
}

// FeatureVersion is the dataVersion of /feature, which ApiVersions answers as FinalizedFeaturesEpoch; -1 when it is missing, or features are disabled.
func (c *Client) FeatureVersion() (int64, error) {
	data, stat, err := c.getOrNil(FeaturePath)
	if stat == nil || err != nil {
		return -1, err
	}
	var now featuresJSON
	if err := decodeJSON(FeaturePath, data, &now); err != nil || now.Status != featuresEnabled {
		return -1, err
	}
	return int64(stat.Version), nil
}
