package zk

import (
	"errors"
	"sync"

	gozk "github.com/go-zookeeper/zk"
)

// WatchKind tells which changes a watch is told of.
type WatchKind int8

// Kinds of watches.
const (
	WatchData     WatchKind = iota // the znode is created, changed or deleted
	WatchChildren                  // a child is added or removed
)

type watchKey struct {
	path string // below the chroot
	kind WatchKind
}

// firedEvent is a watch that a server fired, or (kind 0) one to be re-armed and called in a new session.
type firedEvent struct {
	session *session
	kind    gozk.EventType
	path    string
}

// watchTable holds the functions to call by path, and the queue of events on the way to them.
type watchTable struct {
	mu struct {
		sync.Mutex
		fns    map[watchKey]map[int]func()
		nextID int
		kids   map[string]*childrenWatch // by path; never taken out
		queue  []firedEvent
		held   bool     // between an expiry and the end of OnSession nothing is delivered
		live   *session // events of other sessions are dropped; nil: before the first expiry
		closed bool
	}
	wake chan struct{} // capacity 1
}

// childrenWatch says whether a watch on children stands: it does while it was set after it fired last.
type childrenWatch struct{ fired, set uint64 }

func (t *watchTable) init() {
	t.mu.fns = map[watchKey]map[int]func(){}
	t.mu.kids = map[string]*childrenWatch{}
	t.wake = make(chan struct{}, 1)
}

func (t *watchTable) signal() {
	select {
	case t.wake <- struct{}{}:
	default:
	}
}

func (t *watchTable) push(ev firedEvent) {
	t.mu.Lock()
	t.mu.queue = append(t.mu.queue, ev)
	t.mu.Unlock()
	t.signal()
}

func (t *watchTable) hold() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.mu.held = true
	t.mu.queue = nil
}

// resume lets events flow again; every registered watch is re-armed in s and called, since what happened between the
// two sessions was not seen.
func (t *watchTable) resume(s *session) {
	t.mu.Lock()
	t.mu.held, t.mu.live = false, s
	t.mu.Unlock()
	t.refire(s)
}

// refire has every registered watch re-armed in s and called.
func (t *watchTable) refire(s *session) {
	t.mu.Lock()
	for key := range t.mu.fns {
		t.mu.queue = append(t.mu.queue, firedEvent{session: s, path: key.path})
	}
	t.mu.Unlock()
	t.signal()
}

func (t *watchTable) close() {
	t.mu.Lock()
	t.mu.closed = true
	t.mu.Unlock()
	t.signal()
}

// next takes an event off the queue; closed ends the dispatcher.
func (t *watchTable) next() (ev firedEvent, ok, closed bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.mu.closed || t.mu.held || len(t.mu.queue) == 0 {
		return ev, false, t.mu.closed
	}
	ev = t.mu.queue[0]
	t.mu.queue = t.mu.queue[1:]
	if t.mu.live != nil && ev.session != t.mu.live {
		return firedEvent{}, true, false
	}
	return ev, true, false
}

func (t *watchTable) functions(key watchKey) []func() {
	t.mu.Lock()
	defer t.mu.Unlock()
	fns := make([]func(), 0, len(t.mu.fns[key]))
	for _, fn := range t.mu.fns[key] {
		fns = append(fns, fn)
	}
	return fns
}

// toSet tells whether whoever lists the children of path must set a watch with it: somebody watches them, and the watch has fired. In that case
// it goes to set with the number given here, once it stands.
func (t *watchTable) toSet(path string) (fired uint64, must bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	w := t.mu.kids[path]
	if w == nil || w.set >= w.fired || t.mu.fns[watchKey{path, WatchChildren}] == nil {
		return 0, false
	}
	return w.fired, true
}

// set notes that a watch on children was set by somebody who knew of so many events. One that has fired since then does not stand.
func (t *watchTable) set(path string, fired uint64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	w := t.mu.kids[path]
	w.set = max(w.set, fired)
}

// fire notes that a watch on children is gone: it has fired, or its session ended.
func (t *watchTable) fire(path string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.mu.kids[path] == nil {
		t.mu.kids[path] = &childrenWatch{}
	}
	t.mu.kids[path].fired++
}

// Watch calls fn after every change of path from now on, until cancel; it is armed when Watch returns. fn runs on the
// client's one event goroutine and must only hand the news on. path need not exist. After an expired session every fn is
// called once.
//
// A watch on data is armed again before fn runs, so a reader that starts after fn sees everything up to some moment, and
// fn is called again for what comes later. A watch on children is armed again by the next reader of them, with the list
// itself: fn is not called again before somebody has listed them through this client. (With 100,000 topics a list is
// 2 MB, and one per event would be asked for as fast as topics are created.)
func (c *Client) Watch(path string, kind WatchKind, fn func()) (cancel func(), err error) {
	key := watchKey{path, kind}
	t := &c.watches
	t.mu.Lock()
	id := t.mu.nextID
	t.mu.nextID++
	if t.mu.fns[key] == nil {
		t.mu.fns[key] = map[int]func(){}
	}
	t.mu.fns[key][id] = fn
	t.mu.Unlock()
	cancel = func() {
		t.mu.Lock()
		defer t.mu.Unlock()
		delete(t.mu.fns[key], id)
		if len(t.mu.fns[key]) == 0 {
			delete(t.mu.fns, key)
		}
	}
	if kind == WatchChildren {
		t.fire(path)
		_, err = c.children(path)
	} else {
		err = c.arm(path)
	}
	if err != nil {
		cancel()
		return nil, err
	}
	return cancel, nil
}

// arm sets the server's one-shot watch on data. Its event comes through the handle's callback, not through the channel.
func (c *Client) arm(path string) error {
	return c.read(func(s *session) error {
		_, _, _, err := s.conn.ExistsW(c.full(path))
		return err
	})
}

// listWatched lists children and sets the watch on them, or on the creation of their parent (ErrNoNode).
func (s *session) listWatched(full string) ([]string, error) {
	for {
		names, _, _, err := s.conn.ChildrenW(full)
		if !errors.Is(err, ErrNoNode) {
			return names, err
		}
		if there, _, _, existsErr := s.conn.ExistsW(full); existsErr != nil {
			return nil, existsErr
		} else if !there {
			return nil, err
		}
	}
}

// dispatchEvents re-arms the watches on data that fired and calls all that did, in order, until Close.
func (c *Client) dispatchEvents() {
	defer c.workers.Done()
	for {
		ev, ok, closed := c.watches.next()
		switch {
		case closed:
			return
		case !ok:
			<-c.watches.wake
		case ev.session != nil:
			c.dispatch(ev)
		}
	}
}

func (c *Client) dispatch(ev firedEvent) {
	path := ev.path
	if ev.kind != 0 {
		path = c.relative(path)
	}
	for _, kind := range []WatchKind{WatchData, WatchChildren} {
		if !concerns(ev.kind, kind) {
			continue
		}
		key := watchKey{path, kind}
		if len(c.watches.functions(key)) == 0 {
			continue
		}
		if kind == WatchChildren {
			c.watches.fire(path)
		} else if err := c.arm(path); err != nil {
			if !errors.Is(err, ErrClosed) {
				c.log.Error("[ZooKeeperClient Kafka server] A watch could not be set again", "path", path, "error", err)
			}
			return
		}
		for _, fn := range c.watches.functions(key) {
			fn()
		}
	}
}

// concerns reports whether an event of the server is one for a watch of this kind. A children watch on a missing znode
// waits for its creation.
func concerns(ev gozk.EventType, kind WatchKind) bool {
	switch ev {
	case gozk.EventNodeChildrenChanged:
		return kind == WatchChildren
	case gozk.EventNodeDataChanged:
		return kind == WatchData
	}
	return true
}

// WatchMany is Watch for many names at once: path(name) is watched and fn(name) called. It returns one cancel per name.
func (c *Client) WatchMany(names []string, path func(name string) string, kind WatchKind, fn func(name string)) (map[string]func(), error) {
	cancels := make([]func(), len(names))
	err := c.parallel(len(names), func(i int) (err error) {
		name := names[i]
		cancels[i], err = c.Watch(path(name), kind, func() { fn(name) })
		return err
	})
	out := make(map[string]func(), len(names))
	for i, cancel := range cancels {
		if cancel != nil {
			out[names[i]] = cancel
		}
	}
	if err != nil {
		for _, cancel := range out {
			cancel()
		}
		return nil, err
	}
	return out, nil
}
