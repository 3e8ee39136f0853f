package sim

import "iter"

// coroutine runs a broker's controller. It runs until the controller waits for ZooKeeper or has nothing to do, and goes on when the schedule lets
// it: everything happens in one goroutine at a time, in an order that the seed decides.
type coroutine struct {
	node *node
	next func() (*operation, bool)
	stop func()

	yield     func(*operation) bool
	idle      bool // it waits for events
	planned   bool // a step is planned
	firstLook bool // an election was won, and the registrations were not read yet
}

// start makes the controller wait for its first kick.
func (c *coroutine) start() {
	c.next, c.stop = iter.Pull(func(yield func(*operation) bool) {
		c.yield = yield
		if err := c.node.controller.Attach(); err != nil {
			return
		}
		for {
			for c.node.controller.Step() {
			}
			if !yield(nil) {
				return
			}
		}
	})
	c.idle = true
	c.kick()
}

// kick lets an idle controller look for events soon.
func (c *coroutine) kick() {
	if c.next == nil || !c.idle || c.planned {
		return
	}
	c.planned = true
	c.node.world.plan(0, c.node, func() {
		c.planned, c.idle = false, false
		c.resume()
	})
}

// resume runs it until it yields the next time.
func (c *coroutine) resume() {
	op, running := c.next()
	switch {
	case !running:
	case op == nil:
		c.idle = true
	default:
		w, z, life := c.node.world, c.node.zk, c.node.life
		w.in(w.latency(), func() { // also when the process is paused or dead by then: the request has left it
			if c.node.life == life || w.oneIn(2) {
				z.arrive(op)
			}
		})
	}
}

// wait gives way until the answer to op is there; false when the process is dead.
func (c *coroutine) wait(op *operation) bool { return c.yield(op) }

// answered lets the controller go on with the answer to its operation.
func (c *coroutine) answered() {
	w := c.node.world
	delay := int64(0)
	if w.oneIn(4) {
		delay = w.latency()
	}
	w.plan(delay, c.node, c.resume)
}
