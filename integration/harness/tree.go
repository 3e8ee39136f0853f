package harness

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/go-zookeeper/zk"
)

// A Tree reads and writes the znodes of one cluster.
type Tree struct {
	t      testing.TB
	conn   *zk.Conn
	chroot string
}

type silent struct{}

func (silent) Printf(string, ...any) {}

// ZooKeeperTree opens a session to what zookeeper.connect names, closed at the test's end.
func ZooKeeperTree(t testing.TB, connect string) *Tree {
	t.Helper()
	addrs, chroot, _ := strings.Cut(connect, "/")
	conn, _, err := zk.Connect(strings.Split(addrs, ","), 10*time.Second, zk.WithLogger(silent{}))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(conn.Close)
	if chroot != "" {
		chroot = "/" + chroot
	}
	return &Tree{t: t, conn: conn, chroot: chroot}
}

var errNoNode = zk.ErrNoNode

// patiently repeats what failed because the session's server was away.
func patiently(do func() error) error {
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(50 * time.Millisecond) {
		err := do()
		away := errors.Is(err, zk.ErrConnectionClosed) || errors.Is(err, zk.ErrSessionExpired) || errors.Is(err, zk.ErrNoServer)
		if !away || time.Now().After(deadline) {
			return err
		}
	}
}

// Exists says whether there is such a znode.
func (tree *Tree) Exists(path string) bool {
	tree.t.Helper()
	var exists bool
	err := patiently(func() (err error) {
		exists, _, err = tree.conn.Exists(tree.chroot + path)
		return err
	})
	if err != nil {
		tree.t.Fatalf("znode %s: %v", path, err)
	}
	return exists
}

// Get is the data and the metadata of a znode that must exist.
func (tree *Tree) Get(path string) (string, *zk.Stat) {
	tree.t.Helper()
	data, stat, err := tree.get(path)
	if err != nil {
		tree.t.Fatalf("znode %s: %v", path, err)
	}
	return string(data), stat
}

func (tree *Tree) get(path string) (data []byte, stat *zk.Stat, err error) {
	err = patiently(func() (err error) {
		data, stat, err = tree.conn.Get(tree.chroot + path)
		return err
	})
	return data, stat, err
}

// Set overwrites a znode that must exist.
func (tree *Tree) Set(path, data string) {
	tree.t.Helper()
	if _, err := tree.conn.Set(tree.chroot+path, []byte(data), -1); err != nil {
		tree.t.Fatalf("znode %s: %v", path, err)
	}
}

// Create makes a persistent znode whose parent exists.
func (tree *Tree) Create(path, data string) {
	tree.t.Helper()
	if _, err := tree.conn.Create(tree.chroot+path, []byte(data), 0, zk.WorldACL(zk.PermAll)); err != nil {
		tree.t.Fatalf("znode %s: %v", path, err)
	}
}

// Delete removes a znode that must exist.
func (tree *Tree) Delete(path string) {
	tree.t.Helper()
	tries := 0
	err := patiently(func() error {
		tries++
		return tree.conn.Delete(tree.chroot+path, -1)
	})
	if err != nil && !(tries > 1 && errors.Is(err, errNoNode)) { // the try before may have succeeded
		tree.t.Fatalf("znode %s: %v", path, err)
	}
}

// Children lists the names below a znode; none when it does not exist.
func (tree *Tree) Children(path string) []string {
	tree.t.Helper()
	var names []string
	err := patiently(func() (err error) {
		names, _, err = tree.conn.Children(tree.chroot + path)
		return err
	})
	if err != nil && !errors.Is(err, errNoNode) {
		tree.t.Fatalf("znode %s: %v", path, err)
	}
	return names
}

// owner is the session that an ephemeral znode belongs to.
func (tree *Tree) owner(path string) (session int64, ok bool) {
	tree.t.Helper()
	exists, stat, err := tree.conn.Exists(tree.chroot + path)
	if err != nil {
		tree.t.Fatalf("znode %s: %v", path, err)
	}
	if !exists {
		return 0, false
	}
	return stat.EphemeralOwner, true
}
