package zktest

import (
	"fmt"
	"strings"
	"time"
)

// code is an error of the ZooKeeper protocol.
type code int32

const (
	ok                   code = 0
	runtimeInconsistency code = -2
	unimplemented        code = -6
	noNode               code = -101
	badVersion           code = -103
	noChildrenEphemeral  code = -108
	nodeExists           code = -110
	notEmpty             code = -111
)

// Events of watches.
const (
	created         = 1
	deleted         = 2
	dataChanged     = 3
	childrenChanged = 4
)

type node struct {
	data                       []byte // nil is null data
	czxid, mzxid, pzxid        int64
	ctime, mtime               int64
	version, cversion, sequent int32
	owner                      int64 // session of an ephemeral
	children                   map[string]bool
}

// tree is the data of the server. Its methods return what to tell watchers and how to undo the change.
type tree struct {
	nodes map[string]*node
	zxid  int64
}

type change struct {
	events []event
	undo   func()
}

type event struct {
	kind int32
	path string
}

func newTree() *tree {
	return &tree{nodes: map[string]*node{"/": {children: map[string]bool{}}}}
}

func parentOf(path string) (parent, name string) {
	i := strings.LastIndexByte(path, '/')
	if i == 0 {
		return "/", path[1:]
	}
	return path[:i], path[i+1:]
}

// Flags of a create.
const (
	flagEphemeral  = 1
	flagSequential = 2
)

func (t *tree) create(path string, data []byte, flags int32, session int64) (string, change, code) {
	dir, name := parentOf(path)
	parent := t.nodes[dir]
	if parent == nil {
		return "", change{}, noNode
	}
	if parent.owner != 0 {
		return "", change{}, noChildrenEphemeral
	}
	before := *parent
	if flags&flagSequential != 0 {
		suffix := fmt.Sprintf("%010d", parent.sequent)
		path, name = path+suffix, name+suffix
	}
	if t.nodes[path] != nil {
		return "", change{}, nodeExists
	}
	now := time.Now().UnixMilli()
	n := &node{data: data, czxid: t.zxid, mzxid: t.zxid, pzxid: t.zxid, ctime: now, mtime: now, children: map[string]bool{}}
	if flags&flagEphemeral != 0 {
		n.owner = session
	}
	t.nodes[path] = n
	parent.children[name] = true
	parent.sequent++
	parent.cversion++
	parent.pzxid = t.zxid
	return path, change{
		events: []event{{created, path}, {childrenChanged, dir}},
		undo: func() {
			delete(t.nodes, path)
			delete(parent.children, name)
			parent.sequent, parent.cversion, parent.pzxid = before.sequent, before.cversion, before.pzxid
		},
	}, ok
}

func (t *tree) delete(path string, version int32) (change, code) {
	n := t.nodes[path]
	switch {
	case n == nil || path == "/":
		return change{}, noNode
	case version != -1 && version != n.version:
		return change{}, badVersion
	case len(n.children) > 0:
		return change{}, notEmpty
	}
	dir, name := parentOf(path)
	parent := t.nodes[dir]
	before := *parent
	delete(t.nodes, path)
	delete(parent.children, name)
	parent.cversion++
	parent.pzxid = t.zxid
	return change{
		events: []event{{deleted, path}, {childrenChanged, dir}},
		undo: func() {
			t.nodes[path] = n
			parent.children[name] = true
			parent.cversion, parent.pzxid = before.cversion, before.pzxid
		},
	}, ok
}

func (t *tree) set(path string, data []byte, version int32) (*node, change, code) {
	n := t.nodes[path]
	if n == nil {
		return nil, change{}, noNode
	}
	if version != -1 && version != n.version {
		return nil, change{}, badVersion
	}
	before := *n
	n.data, n.mzxid, n.mtime = data, t.zxid, time.Now().UnixMilli()
	n.version++
	return n, change{
		events: []event{{dataChanged, path}},
		undo:   func() { n.data, n.mzxid, n.mtime, n.version = before.data, before.mzxid, before.mtime, before.version },
	}, ok
}

func (t *tree) check(path string, version int32) code {
	n := t.nodes[path]
	if n == nil {
		return noNode
	}
	if version != -1 && version != n.version {
		return badVersion
	}
	return ok
}
