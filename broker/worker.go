package broker

import (
	"sync"

	"gregor/protocol"
	"gregor/replication"
)

// worker is what a connection needs only while requests are served: memory that is used again, and a goroutine whose stack has grown. It is lent to one connection after the
// other, so that there are as many as connections served at one moment, and a connection that waits costs a goroutine with the smallest stack, and no more.
type worker struct {
	conn    *conn // nil between two connections
	jobs    chan *conn
	done    chan error // why the readLoop of the job ended
	charged int        // bytes of the memory pool that the frame being read or served holds
	rq      request
	produce produceRun
	fetch   fetchState
	wakes   replication.Wakes // of what the reader appended
	unwoken int               // runs of produce requests whose wakes are in there
	out     output            // the reader's while conn.writing is false
}

// takeOn lends the worker to c. The client id of the last request stays: it is used again when the next one's is equal.
func (w *worker) takeOn(c *conn) {
	c.worker, w.conn = w, c
	w.rq = request{header: protocol.RequestHeader{ClientID: w.rq.header.ClientID}, ctx: c.ctx, listener: c.ln.name, host: c.host, conn: c}
	w.out.tcp, w.out.raw = c.tcp, c.raw
}

// letGo ends what takeOn began. Afterwards the worker refers to nothing of the connection's, nor to buffers that its requests lay in: they are somebody else's by then.
func (w *worker) letGo() {
	c := w.conn
	c.deliverWakes()
	c.worker, w.conn = nil, nil
	c.b.memory.release(w.charged)
	w.charged = 0
	w.rq = request{header: protocol.RequestHeader{ClientID: w.rq.header.ClientID}}
	w.produce.forget()
	w.fetch.req.Reset()
	w.out.discard()
	w.out.tcp, w.out.raw = nil, nil
}

// run is the worker's goroutine.
func (w *worker) run() {
	for c := range w.jobs {
		w.takeOn(c)
		err := c.readLoop()
		w.letGo()
		w.done <- err
	}
}

// spareWorkers is how many workers of a listener stay when nobody needs them.
const spareWorkers = 4

// crew is the workers of a listener. A worker may wait for anything, so their number is not bounded; but only a few stay when nobody needs them.
type crew struct {
	running sync.WaitGroup
	mu      struct {
		sync.Mutex
		free []*worker // the last one back is the first one lent: its memory is in the caches
	}
}

// serve has a worker serve c's requests, and returns why it stopped: errIdle when there are none any more.
func (s *crew) serve(c *conn) error {
	w := s.borrow()
	w.jobs <- c
	err := <-w.done
	s.giveBack(w)
	return err
}

func (s *crew) borrow() *worker {
	s.mu.Lock()
	defer s.mu.Unlock()
	if n := len(s.mu.free); n > 0 {
		w := s.mu.free[n-1]
		s.mu.free = s.mu.free[:n-1]
		return w
	}
	w := &worker{jobs: make(chan *conn), done: make(chan error)}
	s.running.Go(w.run)
	return w
}

func (s *crew) giveBack(w *worker) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.mu.free) == spareWorkers {
		close(w.jobs)
		return
	}
	s.mu.free = append(s.mu.free, w)
}

// close ends the workers, none of which may be lent any more.
func (s *crew) close() {
	s.mu.Lock()
	for _, w := range s.mu.free {
		close(w.jobs)
	}
	s.mu.free = nil
	s.mu.Unlock()
	s.running.Wait()
}
