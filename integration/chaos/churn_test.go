package chaos

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"gregor/integration/chaos/history"
)

// killController (F6) kills, pauses or isolates the controller while topics come and go. What was acknowledged about topics holds afterwards.
func killController(r *round) error {
	var churn sync.WaitGroup
	topics := &topicChurn{cluster: r.cluster, prefix: "churn-" + r.topic, there: map[string]bool{}}
	id, err := r.tree.controller()
	epoch, err2 := r.tree.controllerEpoch()
	if err := errors.Join(err, err2); err != nil {
		return err
	}
	ctx, stop := context.WithCancel(context.Background())
	churn.Go(func() { topics.run(ctx) })
	fault := r.unseatController()
	stop()
	churn.Wait()
	return errors.Join(fault, r.heal(), eventually(limit, topics.holds), r.commandLate(id, epoch), topics.clean())
}

// commandLate brings every broker a request of the former controller that was on its way for long: that no broker lives but the former controller. Whoever obeyed it
// would tell its clients so.
func (r *round) commandLate(controller, epoch int32) error {
	if now, err := r.tree.controllerEpoch(); err != nil || now == epoch {
		return err
	}
	r.rec.Faultf("a late UpdateMetadata of controller %d, epoch %d, to everybody", controller, epoch)
	req := kmsg.NewPtrUpdateMetadataRequest()
	req.ControllerID, req.ControllerEpoch, req.BrokerEpoch = controller, epoch, -1
	live := kmsg.NewUpdateMetadataRequestLiveBroker()
	live.ID = controller
	endpoint := kmsg.NewUpdateMetadataRequestLiveBrokerEndpoint()
	endpoint.Host, endpoint.Port, endpoint.ListenerName = r.nodes[controller-1].ip, brokerPort, "PLAINTEXT"
	live.Endpoints = append(live.Endpoints, endpoint)
	req.LiveBrokers = append(req.LiveBrokers, live)
	for _, n := range r.nodes[:brokerCount] {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		resp, err := n.client.SeedBrokers()[0].Request(ctx, req)
		cancel()
		if err != nil {
			return fmt.Errorf("%v: %w", n, err)
		}
		e := history.Event{Kind: history.Late, Client: fmt.Sprint(n.id), ControllerEpoch: epoch, Outcome: history.Failed}
		if code := resp.(*kmsg.UpdateMetadataResponse).ErrorCode; code == 0 {
			e.Outcome = history.OK
		} else if code != kerr.StaleControllerEpoch.Code {
			return fmt.Errorf("%v answers a former controller: %w", n, kerr.ErrorForCode(code))
		}
		r.rec.Add(e)
	}
	return nil
}

func (r *round) unseatController() error {
	r.pause(300*time.Millisecond, time.Second)
	id, err := r.tree.controller()
	if err != nil {
		return err
	}
	n := r.nodes[id-1]
	switch r.rng.IntN(3) {
	case 0:
		r.rec.Faultf("kill -9 the controller, %v", n)
		n.Kill()
	case 1:
		r.rec.Faultf("SIGSTOP the controller, %v", n)
		n.pause()
	case 2:
		r.rec.Faultf("isolate the controller, %v", n)
		err = n.isolate(r.others(n)...)
	}
	if err != nil {
		return err
	}
	err = eventually(limit, func() error {
		if now, err := r.tree.controller(); err != nil || now == id {
			return fmt.Errorf("no new controller: %v", err)
		}
		return nil
	})
	r.pause(time.Second, 2*time.Second)
	return err
}

// topicChurn creates and deletes topics and knows which must be there.
type topicChurn struct {
	*cluster
	prefix string
	there  map[string]bool // what is known; a topic whose creation or deletion may or may not have taken effect, or may yet, is not in it
	all    []string
}

func (tc *topicChurn) run(ctx context.Context) {
	for n := 0; ctx.Err() == nil; n++ {
		name := fmt.Sprintf("%s-%d", tc.prefix, n)
		tc.all = append(tc.all, name)
		attempt, cancel := context.WithTimeout(context.Background(), 3*time.Second)
		if err := tc.create(attempt, name, [][]int32{{1, 2, 3}, {3, 2, 1}, {2, 1, 3}}, nil); err == nil {
			tc.there[name] = true
		}
		if old := tc.all[max(0, n-3)]; n >= 3 && tc.there[old] {
			delete(tc.there, old)
			if answer, err := tc.admin.DeleteTopics(attempt, old); err == nil && answer[old].Err == nil {
				tc.there[old] = false
			}
		}
		cancel()
		sleep(ctx, 50*time.Millisecond)
	}
}

// holds says whether everything acknowledged about topics is so.
func (tc *topicChurn) holds() error {
	topics, err := tc.tree.topics()
	if err != nil {
		return err
	}
	for name, there := range tc.there {
		if slices.Contains(topics, name) != there {
			return fmt.Errorf("topic %s: there is to be %v, and it is not so", name, there)
		}
	}
	return tc.converged(context.Background())
}

// clean deletes what is left.
func (tc *topicChurn) clean() error {
	topics, err := tc.tree.topics()
	if err != nil {
		return err
	}
	left := slices.DeleteFunc(tc.all, func(name string) bool { return !slices.Contains(topics, name) })
	if len(left) == 0 {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	answer, err := tc.admin.DeleteTopics(ctx, left...)
	if err != nil {
		return err
	}
	for _, a := range answer {
		if a.Err != nil && !errors.Is(a.Err, kerr.UnknownTopicOrPartition) {
			return fmt.Errorf("deleting %s: %w", a.Topic, a.Err)
		}
	}
	return nil
}
