package zk

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"sync"
	"time"

	gozk "github.com/go-zookeeper/zk"
)

// read repeats f until a server has answered it, in this session or the next. f must change nothing.
func (c *Client) read(f func(s *session) error) error {
	for {
		s, err := c.session(context.Background())
		if err != nil {
			return err
		}
		if err = f(s); answered(err) {
			return err
		}
		if err := c.pause(); err != nil {
			return err
		}
	}
}

// write repeats f until a server has answered it, within one session. lost tells that an earlier attempt went
// unanswered, so that f may have been done twice: an error such as NodeExists may then be the echo of our own write.
func (c *Client) write(f func(s *session) error) (lost bool, err error) {
	first, err := c.session(context.Background())
	if err != nil {
		return false, err
	}
	return c.writeIn(first, f)
}

// writeIn is write bound to a session: once it has expired, nothing more is sent and the error is ErrSessionExpired.
func (c *Client) writeIn(first *session, f func(s *session) error) (lost bool, err error) {
	for {
		select {
		case <-first.gone:
			return lost, ErrSessionExpired
		default:
		}
		s, err := c.session(context.Background())
		if err != nil {
			return lost, err
		}
		if s != first {
			return lost, ErrSessionExpired
		}
		if err = f(s); answered(err) {
			return lost, err
		}
		lost = true
		if err := c.pause(); err != nil {
			return lost, err
		}
	}
}

// pause keeps a retry from spinning while the library has not yet noticed that its connection broke.
func (c *Client) pause() error {
	select {
	case <-c.closed:
		return ErrClosed
	case <-time.After(20 * time.Millisecond):
		return nil
	}
}

// get returns data and stat of a znode; ErrNoNode when it is missing.
func (c *Client) get(path string) (data []byte, stat *gozk.Stat, err error) {
	err = c.read(func(s *session) (err error) {
		data, stat, err = s.conn.Get(c.full(path))
		return err
	})
	return data, stat, err
}

// getOrNil is get with a missing znode as nil stat.
func (c *Client) getOrNil(path string) (data []byte, stat *gozk.Stat, err error) {
	data, stat, err = c.get(path)
	if errors.Is(err, ErrNoNode) {
		return nil, nil, nil
	}
	return data, stat, err
}

// children lists a znode's children; none when it is missing. It sets the watch on them again if that has fired (Watch).
func (c *Client) children(path string) (names []string, err error) {
	err = c.read(func(s *session) (err error) {
		fired, must := c.watches.toSet(path)
		if !must {
			names, _, err = s.conn.Children(c.full(path))
			return err
		}
		if names, err = s.listWatched(c.full(path)); err == nil || errors.Is(err, ErrNoNode) {
			c.watches.set(path, fired)
		}
		return err
	})
	if errors.Is(err, ErrNoNode) {
		return nil, nil
	}
	return names, err
}

func (c *Client) exists(path string) (stat *gozk.Stat, err error) {
	err = c.read(func(s *session) error {
		ok, st, err := s.conn.Exists(c.full(path))
		if stat = st; !ok {
			stat = nil
		}
		return err
	})
	return stat, err
}

// createMissing creates a persistent znode and its parents; one that exists already is left as it is.
func (c *Client) createMissing(path string, data []byte) error {
	err := c.create(path, data)
	if errors.Is(err, ErrNodeExists) {
		return nil
	}
	return err
}

// create creates a persistent znode, and its missing parents with null data. ErrNodeExists when it is there already.
func (c *Client) create(path string, data []byte) error {
	err := c.multi(nil, createOp(path, data, gozk.FlagPersistent))
	if !errors.Is(err, ErrNoNode) {
		return err
	}
	parent := path[:strings.LastIndexByte(path, '/')]
	if parent == "" {
		return err
	}
	if err := c.createMissing(parent, nil); err != nil {
		return err
	}
	return c.multi(nil, createOp(path, data, gozk.FlagPersistent))
}

// createSequential creates path + a ten-digit sequence number. After a lost connection there may be two: notifications
// are idempotent.
func (c *Client) createSequential(path string, data []byte) error {
	_, err := c.write(func(s *session) error {
		_, err := s.conn.Create(c.full(path), data, gozk.FlagSequence, worldAll)
		return err
	})
	return err
}

// set overwrites a znode if it has the version (-1: any) and returns the new version.
func (c *Client) set(path string, data []byte, version int32) (int32, error) {
	stat := &gozk.Stat{}
	lost, err := c.write(func(s *session) (err error) {
		stat, err = s.conn.Set(c.full(path), data, version)
		return err
	})
	if lost && version >= 0 && errors.Is(err, ErrBadVersion) {
		if now, st, err := c.get(path); err == nil && st.Version == version+1 && bytes.Equal(now, data) {
			return st.Version, nil
		}
	}
	if err != nil {
		return 0, err
	}
	return stat.Version, nil
}

// setOrCreate overwrites a znode whatever its version, or creates it with its parents.
func (c *Client) setOrCreate(path string, data []byte) error {
	for {
		_, err := c.set(path, data, -1)
		if !errors.Is(err, ErrNoNode) {
			return err
		}
		if err = c.create(path, data); !errors.Is(err, ErrNodeExists) {
			return err
		}
	}
}

// deleteAny deletes a znode of any version; a missing one is fine.
func (c *Client) deleteAny(path string) error {
	_, err := c.write(func(s *session) error { return s.conn.Delete(c.full(path), -1) })
	if errors.Is(err, ErrNoNode) {
		return nil
	}
	return err
}

// Constructors of the operations of a multi, with paths below the chroot.
func createOp(path string, data []byte, flags int32) *gozk.CreateRequest {
	return &gozk.CreateRequest{Path: path, Data: data, Acl: worldAll, Flags: flags}
}
func setOp(path string, data []byte, version int32) *gozk.SetDataRequest {
	return &gozk.SetDataRequest{Path: path, Data: data, Version: version}
}
func deleteOp(path string, version int32) *gozk.DeleteRequest {
	return &gozk.DeleteRequest{Path: path, Version: version}
}
func checkOp(path string, version int32) *gozk.CheckVersionRequest {
	return &gozk.CheckVersionRequest{Path: path, Version: version}
}

// multiError is the failure of a MULTI: nothing was done. Unwrap gives the code of the operation that failed.
type multiError struct {
	index int // of the failed operation
	err   error
}

func (e *multiError) Error() string { return e.err.Error() }
func (e *multiError) Unwrap() error { return e.err }

// multi does all operations or none. bound ties it to a session (nil: the current one). When an earlier attempt went
// unanswered and the repetition fails, the znodes are looked at: if all effects are in place, ours was done.
func (c *Client) multi(bound *session, ops ...any) error {
	if bound == nil {
		s, err := c.session(context.Background())
		if err != nil {
			return err
		}
		bound = s
	}
	sent := c.withChroot(ops)
	var results []gozk.MultiResponse
	lost, err := c.writeIn(bound, func(s *session) (err error) {
		results, err = s.conn.Multi(sent...)
		return err
	})
	if err == nil {
		return nil
	}
	if lost && answered(err) && c.effectsInPlace(bound, ops) {
		return nil
	}
	for i, r := range results {
		if r.Error != nil && errors.Is(err, r.Error) {
			return &multiError{index: i, err: err}
		}
	}
	return err
}

func (c *Client) withChroot(ops []any) []any {
	out := make([]any, len(ops))
	for i, op := range ops {
		switch op := op.(type) {
		case *gozk.CreateRequest:
			o := *op
			o.Path = c.full(op.Path)
			out[i] = &o
		case *gozk.SetDataRequest:
			o := *op
			o.Path = c.full(op.Path)
			out[i] = &o
		case *gozk.DeleteRequest:
			o := *op
			o.Path = c.full(op.Path)
			out[i] = &o
		case *gozk.CheckVersionRequest:
			o := *op
			o.Path = c.full(op.Path)
			out[i] = &o
		}
	}
	return out
}

// effectsInPlace reports whether the tree looks as it would right after ops. The last write to a path in ops counts.
func (c *Client) effectsInPlace(s *session, ops []any) bool {
	want := map[string]any{}
	for _, op := range ops {
		switch op := op.(type) {
		case *gozk.CreateRequest:
			want[op.Path] = op
		case *gozk.SetDataRequest:
			want[op.Path] = op
		case *gozk.DeleteRequest:
			want[op.Path] = op
		}
	}
	for path, op := range want {
		data, stat, err := c.getOrNil(path)
		if err != nil {
			return false
		}
		switch op := op.(type) {
		case *gozk.CreateRequest:
			if stat == nil || !bytes.Equal(data, op.Data) {
				return false
			}
			if op.Flags&gozk.FlagEphemeral != 0 && stat.EphemeralOwner != s.id {
				return false
			}
		case *gozk.SetDataRequest:
			if stat == nil || !bytes.Equal(data, op.Data) || op.Version >= 0 && stat.Version != op.Version+1 {
				return false
			}
		case *gozk.DeleteRequest:
			if stat != nil {
				return false
			}
		}
	}
	return true
}

// parallel calls f(0..n-1), at most MaxInFlight at a time, and returns the first error.
func (c *Client) parallel(n int, f func(i int) error) error {
	workers := min(max(c.config.MaxInFlight, 1), n)
	var (
		wg    sync.WaitGroup
		mu    sync.Mutex
		next  int
		first error
	)
	take := func() (int, bool) {
		mu.Lock()
		defer mu.Unlock()
		if next >= n || first != nil {
			return 0, false
		}
		next++
		return next - 1, true
	}
	for range workers {
		wg.Go(func() {
			for i, ok := take(); ok; i, ok = take() {
				if err := f(i); err != nil {
					mu.Lock()
					if first == nil {
						first = err
					}
					mu.Unlock()
				}
			}
		})
	}
	wg.Wait()
	return first
}
