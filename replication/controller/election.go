package controller

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"gregor/zk"
)

// startup runs the first election.
type startup struct{ done chan<- error }

func (e startup) process(c *Controller) error {
	err := (controllerChange{}).process(c)
	e.done <- err
	return err
}

// controllerChange: /controller was created, changed or deleted, or we are registered in a new session.
type controllerChange struct{}

func (controllerChange) process(c *Controller) error {
	id, err := c.zk.Controller()
	if err != nil {
		return err
	}
	epoch, err := c.zk.ControllerEpoch()
	if err != nil {
		return err
	}
	c.id.Store(id)
	if c.elected && (id != c.config.BrokerID || epoch != c.fence.Epoch) {
		c.resign()
	}
	if id != -1 {
		c.epoch.Store(max(c.epoch.Load(), epoch))
		if !c.elected {
			c.log.Debug(fmt.Sprintf("%sBroker %d has been elected as the controller, so stopping the election process.", c.prefix(), id))
		}
		return nil
	}
	return c.standForElection()
}

// expired: a session of ours is gone, and /controller with it if it was ours. The next election follows in the new session.
type expired struct{}

func (expired) process(c *Controller) error {
	if c.elected && !c.zk.Lost(c.fence) {
		return nil // the event before this one waited for the new session, and won the election in it
	}
	c.resign()
	c.id.Store(-1)
	return nil
}

// shutdown ends the event goroutine.
type shutdown struct{}

func (shutdown) process(c *Controller) error {
	if !c.elected {
		return nil
	}
	fence := c.fence
	c.resign()
	c.id.Store(-1)
	return c.zk.Resign(fence)
}

// failoverPause keeps a controller that cannot start its term (an unreadable tree, say) from re-electing itself in a
// busy loop.
const failoverPause = time.Second

// standForElection stands for election once, and starts the term when it is won.
func (c *Controller) standForElection() error {
	fence, err := c.zk.ElectController(c.config.BrokerID)
	if errors.Is(err, zk.ErrNotElected) {
		return nil // the watch on /controller brings the winner
	}
	if err != nil {
		return err
	}
	c.elected, c.fence = true, fence
	c.id.Store(c.config.BrokerID)
	c.epoch.Store(fence.Epoch)
	c.info("%d successfully elected as the controller. Epoch incremented to %d", c.config.BrokerID, fence.Epoch)
	err = c.failover()
	switch {
	case err == nil:
		c.active.Store(true)
		return nil
	case errors.Is(err, zk.ErrControllerMoved), errors.Is(err, zk.ErrSessionExpired), errors.Is(err, zk.ErrClosed):
		c.resign()
		return err
	}
	c.log.Error(c.prefix()+"Error while becoming controller. Trigger controller movement immediately", "error", err)
	c.resign()
	time.AfterFunc(failoverPause, func() {
		if err := c.zk.Resign(fence); err != nil && !errors.Is(err, zk.ErrClosed) {
			c.log.Error(c.prefix()+"Error while giving up /controller", "error", err)
		}
	})
	return nil
}

// resign ends the term in memory: watches, timers and senders stop, everything known is forgotten. /controller is left
// to the caller.
func (c *Controller) resign() {
	if !c.elected {
		return
	}
	c.log.Debug(c.prefix() + "Resigning")
	c.active.Store(false)
	for path := range c.watches {
		c.cancelWatch(path)
	}
	if c.stopTimers != nil {
		c.stopTimers()
	}
	for id := range c.links {
		c.unlink(id)
	}
	c.elected, c.fence, c.cluster, c.stopTimers = false, zk.Fence{}, nil, nil
	c.info("Resigned")
}

// watch registers an event for every change of path during this term.
func (c *Controller) watch(path string, kind zk.WatchKind, ev event) error {
	if c.watches[path] != nil {
		return nil
	}
	cancel, err := c.zk.Watch(path, kind, func() { c.events.push(ev) })
	if err == nil {
		c.watches[path] = cancel
	}
	return err
}

func (c *Controller) cancelWatch(path string) {
	if cancel := c.watches[path]; cancel != nil {
		cancel()
		delete(c.watches, path)
	}
}

func (c *Controller) link(b zk.Broker) {
	l, err := c.config.Connect(b, func(r kmsg.Request, resp kmsg.Response) { c.onAnswer(b.ID, r, resp) })
	if err != nil {
		c.log.Error(c.prefix()+"A broker cannot be reached", "error", err)
		return
	}
	c.links[b.ID] = l
}

func (c *Controller) unlink(id int32) {
	if l := c.links[id]; l != nil {
		l.Close()
		delete(c.links, id)
	}
}

// startTimers begins the periodic events of a term.
func (c *Controller) startTimers() {
	ctx, cancel := context.WithCancel(context.Background())
	c.stopTimers = cancel
	if !c.config.AutoLeaderRebalance {
		return
	}
	c.senders.Go(func() {
		wait := firstRebalance
		for {
			select {
			case <-time.After(wait):
			case <-ctx.Done():
				return
			}
			c.events.push(autoRebalance{})
			wait = time.Duration(c.config.ImbalanceCheckSeconds) * time.Second
		}
	})
}
