package zktest

import (
	"maps"
	"slices"
)

// Operations of the protocol.
const (
	opCreate       = 1
	opDelete       = 2
	opExists       = 3
	opGetData      = 4
	opSetData      = 5
	opGetChildren  = 8
	opSync         = 9
	opPing         = 11
	opGetChildren2 = 12
	opCheck        = 13
	opMulti        = 14
	opClose        = -11
	opSetWatches   = 101
)

// request serves one request; false ends the connection.
func (c *conn) request(r *reader) bool {
	xid, op := r.int32(), r.int32()
	if r.err != nil {
		return false
	}
	s := c.server
	switch op {
	case opExists, opGetData, opGetChildren, opGetChildren2:
		s.await((&reader{buf: r.buf}).string())
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.sessions[c.sess.id] != c.sess {
		return false
	}
	if op != opPing {
		s.requests++
	}
	body := &writer{}
	e := c.serveOp(op, r, body)
	if r.err != nil {
		return false
	}
	if s.loseReplies > 0 && (op == opCreate || op == opDelete || op == opSetData || op == opMulti) {
		s.loseReplies--
		return false
	}
	w := &writer{}
	w.int32(xid)
	w.int64(s.tree.zxid)
	w.int32(int32(e))
	if e == ok {
		w.buf = append(w.buf, body.buf...)
	}
	if op == opClose {
		c.send(w.buf)
		s.expireLocked(c.sess.id)
		return false
	}
	return c.send(w.buf)
}

func (c *conn) serveOp(op int32, r *reader, w *writer) code {
	t := c.server.tree
	switch op {
	case opPing, opClose:
		return ok
	case opSync:
		w.string(r.string())
		return ok
	case opCreate, opDelete, opSetData:
		return c.server.change(func() (change, code) { return c.single(op, r, w) })
	case opMulti:
		return c.multi(r, w)
	case opSetWatches:
		c.setWatches(r)
		return ok
	case opExists, opGetData, opGetChildren, opGetChildren2:
	default:
		return unimplemented
	}
	path, watch := r.string(), r.bool()
	n := t.nodes[path]
	if watch && (n != nil || op == opExists) {
		if op == opGetChildren || op == opGetChildren2 {
			c.childWatches[path] = true
		} else {
			c.dataWatches[path] = true
		}
	}
	if n == nil {
		return noNode
	}
	if op == opGetData {
		w.bytes(n.data)
	}
	if op == opGetChildren || op == opGetChildren2 {
		names := slices.Sorted(maps.Keys(n.children))
		w.int32(int32(len(names)))
		for _, name := range names {
			w.string(name)
		}
	}
	if op != opGetChildren {
		w.stat(n)
	}
	return ok
}

// single does one change and writes its result.
func (c *conn) single(op int32, r *reader, w *writer) (change, code) {
	t := c.server.tree
	path := r.string()
	switch op {
	case opCreate:
		data := r.bytes()
		r.acls()
		flags := r.int32()
		if r.err != nil {
			return change{}, unimplemented
		}
		made, ch, e := t.create(path, data, flags, c.sess.id)
		w.string(made)
		return ch, e
	case opDelete:
		return t.delete(path, r.int32())
	case opSetData:
		data := r.bytes()
		n, ch, e := t.set(path, data, r.int32())
		if e == ok {
			w.stat(n)
		}
		return ch, e
	case opCheck:
		return change{}, t.check(path, r.int32())
	}
	return change{}, unimplemented
}

// multi does all operations or none.
func (c *conn) multi(r *reader, w *writer) code {
	c.server.tree.zxid++
	var done []change
	var codes []code
	failed := false
	for {
		op, end := r.int32(), r.bool()
		r.int32()
		if r.err != nil || end {
			break
		}
		result := &writer{}
		ch, e := c.single(op, r, result)
		if failed {
			if e == ok && ch.undo != nil {
				ch.undo()
			}
			codes = append(codes, runtimeInconsistency)
			continue
		}
		if e != ok {
			failed = true
			for _, d := range slices.Backward(done) {
				if d.undo != nil {
					d.undo()
				}
			}
			for i := range codes {
				codes[i] = ok
			}
			codes = append(codes, e)
			continue
		}
		done, codes = append(done, ch), append(codes, ok)
		w.int32(op)
		w.bool(false)
		w.int32(0)
		w.buf = append(w.buf, result.buf...)
	}
	if failed {
		w.buf = nil
		for _, e := range codes {
			w.int32(-1)
			w.bool(false)
			w.int32(int32(e))
			w.int32(int32(e))
		}
	} else {
		for _, d := range done {
			c.server.fire(d.events)
		}
	}
	w.int32(-1)
	w.bool(true)
	w.int32(-1)
	return ok
}

// setWatches takes a reconnected client's watches up again, and fires those that would have fired meanwhile.
func (c *conn) setWatches(r *reader) {
	since := r.int64()
	data, exist, child := r.strings(), r.strings(), r.strings()
	nodes := c.server.tree.nodes
	for _, path := range data {
		c.dataWatches[path] = true
		if n := nodes[path]; n == nil {
			c.notify(event{deleted, path})
		} else if n.mzxid > since {
			c.notify(event{dataChanged, path})
		}
	}
	for _, path := range exist {
		c.dataWatches[path] = true
		if nodes[path] != nil {
			c.notify(event{created, path})
		}
	}
	for _, path := range child {
		c.childWatches[path] = true
		if n := nodes[path]; n == nil {
			c.notify(event{deleted, path})
		} else if n.pzxid > since {
			c.notify(event{childrenChanged, path})
		}
	}
}
