package zk

import (
	"errors"
	"fmt"
	"math"
)

// producerIDBlock is how many producer ids a broker gets at once.
const producerIDBlock = 1000

// AllocateProducerIDBlock takes the next block of 1000 ids by compare-and-set on /latest_producer_id_block. The
// controller uses it for AllocateProducerIds; a broker below IBP 3.0 would by itself.
func (c *Client) AllocateProducerIDBlock(brokerID int32) (start int64, length int32, err error) {
	for {
		data, stat, err := c.get(ProducerIDBlockPath)
		if errors.Is(err, ErrNoNode) {
			if err := c.createMissing(ProducerIDBlockPath, nil); err != nil {
				return 0, 0, err
			}
			continue
		}
		if err != nil {
			return 0, 0, err
		}
		start, err := nextBlockStart(data)
		if err != nil {
			return 0, 0, err
		}
		_, err = c.set(ProducerIDBlockPath, encodeProducerIDBlock(brokerID, start), stat.Version)
		if errors.Is(err, ErrBadVersion) {
			continue
		}
		if err != nil {
			return 0, 0, err
		}
		return start, producerIDBlock, nil
	}
}

func encodeProducerIDBlock(brokerID int32, start int64) []byte {
	first, last := decimal(start), decimal(start+producerIDBlock-1)
	return encodeJSON(producerIDBlockJSON{Version: 1, Broker: brokerID, BlockStart: &first, BlockEnd: &last})
}

// nextBlockStart is where the block after the one in data begins; 0 when none was ever taken.
func nextBlockStart(data []byte) (int64, error) {
	if len(data) == 0 {
		return 0, nil
	}
	var j producerIDBlockJSON
	if err := decodeJSON(ProducerIDBlockPath, data, &j); err != nil {
		return 0, err
	}
	if j.BlockEnd == nil || j.BlockStart == nil || *j.BlockStart < 0 || *j.BlockEnd < *j.BlockStart {
		return 0, fmt.Errorf("%s holds no block", ProducerIDBlockPath)
	}
	if int64(*j.BlockEnd) > math.MaxInt64-1-producerIDBlock {
		return 0, fmt.Errorf("all producer ids are used up: the last block ends at %d", *j.BlockEnd)
	}
	return int64(*j.BlockEnd) + 1, nil
}
