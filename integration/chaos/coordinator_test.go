package chaos

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"gregor/integration/chaos/history"
)

// killCoordinator (F13) kills the coordinator of the round's group, whose partition of __consumer_offsets is long, while every broker is asked all the time what the group has
// committed; then it hands the partition back by a preferred election. Nobody who has not read the partition to its end may answer.
func killCoordinator(r *round) error {
	if err := r.fillOffsets(1000); err != nil {
		return err
	}
	p := groupPartition(r.group())
	s, err := r.tree.state(offsetsTopic, p)
	if err != nil || s.Leader < 1 {
		return fmt.Errorf("%s-%d has no leader: %w", offsetsTopic, p, err)
	}
	ctx, stop := context.WithCancel(context.Background())
	var asking sync.WaitGroup
	for _, n := range r.nodes[:brokerCount] {
		asking.Go(func() { r.askForNothing(ctx, n) })
	}
	defer asking.Wait()
	defer stop()
	n := r.nodes[s.Leader-1]
	r.rec.Faultf("kill -9 %v, the group's coordinator", n)
	n.Kill()
	if err := r.awaitOffsetsLeader(p, func(leader int32) bool { return leader >= 1 && leader != n.id }); err != nil {
		return err
	}
	r.pause(500*time.Millisecond, time.Second)
	r.rec.Faultf("start %v", n)
	if err := n.start(); err != nil {
		return err
	}
	err = eventually(limit, func() error {
		if s, err := r.tree.state(offsetsTopic, p); err != nil || !slices.Contains(s.ISR, n.id) {
			return fmt.Errorf("%v is not in the ISR: %v", n, err)
		}
		return nil
	})
	if err != nil {
		return err
	}
	r.rec.Faultf("preferred election of %s-%d", offsetsTopic, p)
	if err := r.electPreferred(offsetsTopic, p); err != nil {
		return err
	}
	r.pause(500*time.Millisecond, time.Second)
	return nil
}

func (r *round) awaitOffsetsLeader(p int32, wanted func(leader int32) bool) error {
	return eventually(limit, func() error {
		if s, err := r.tree.state(offsetsTopic, p); err != nil || !wanted(s.Leader) {
			return fmt.Errorf("%s-%d is led by %d: %v", offsetsTopic, p, s.Leader, err)
		}
		return nil
	})
}

func (r *round) electPreferred(topic string, partition int32) error {
	req := kmsg.NewPtrElectLeadersRequest()
	rt := kmsg.NewElectLeadersRequestTopic()
	rt.Topic, rt.Partitions = topic, []int32{partition}
	req.Topics = append(req.Topics, rt)
	return eventually(limit, func() error {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		resp, err := req.RequestWith(ctx, r.client)
		if err != nil {
			return err
		}
		if code := resp.Topics[0].Partitions[0].ErrorCode; code != 0 && code != kerr.ElectionNotNeeded.Code {
			return kerr.ErrorForCode(code)
		}
		return nil
	})
}

// fillOffsets makes the partition of __consumer_offsets that the round's group belongs to longer by so many commits of another group, 12 KiB each, so that it takes a
// moment to load.
func (r *round) fillOffsets(commits int) error {
	metadata := strings.Repeat("x", 4000)
	req := kmsg.NewPtrOffsetCommitRequest()
	for i := 0; req.Group == "" || groupPartition(req.Group) != groupPartition(r.group()); i++ {
		req.Group = fmt.Sprintf("bulk-%d", i)
	}
	rt := kmsg.NewOffsetCommitRequestTopic()
	rt.Topic = r.topic
	for p := range r.partitions {
		rp := kmsg.NewOffsetCommitRequestTopicPartition()
		rp.Partition, rp.Metadata = p, &metadata
		rt.Partitions = append(rt.Partitions, rp)
	}
	req.Topics = append(req.Topics, rt)
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	const parallel = 8
	var failed atomic.Pointer[error]
	var committing sync.WaitGroup
	for range parallel {
		committing.Go(func() {
			for range commits / parallel {
				err := error(kerr.CoordinatorLoadInProgress)
				for errors.Is(err, kerr.CoordinatorLoadInProgress) { // until limit: a new coordinator may still be at it
					var resp *kmsg.OffsetCommitResponse
					if resp, err = req.RequestWith(ctx, r.client); err == nil {
						err = kerr.ErrorForCode(resp.Topics[0].Partitions[0].ErrorCode)
					}
				}
				if err != nil {
					failed.Store(&err)
					return
				}
			}
		})
	}
	committing.Wait()
	if err := failed.Load(); err != nil {
		return fmt.Errorf("filling %s: %w", offsetsTopic, *err)
	}
	return nil
}

// askForNothing asks one broker over and over what the group has committed, and records only the answer that it has committed nothing: a broker that has lost the group
// without knowing it may tell what was committed in its time, but that is something.
func (r *round) askForNothing(ctx context.Context, n *node) {
	for ctx.Err() == nil {
		from := r.rec.Now()
		committed, err := n.committed(ctx, r.group(), r.topic, r.partitions)
		if err != nil {
			sleep(ctx, time.Millisecond)
			continue
		}
		for p, offset := range committed {
			if offset < 0 {
				r.rec.Add(history.Event{Kind: history.Committed, From: from, Client: r.group(), Topic: r.topic, Partition: p, Offset: offset})
			}
		}
	}
}
