package zk

import (
	"context"
	"errors"
	"slices"
	"strconv"
	"strings"
	"time"
)

// configChangeExpiry is how long a notification stays: readers remove older ones
// (kafka.common.ZkNodeChangeNotificationListener).
const configChangeExpiry = 15 * time.Minute

// configKinds are all entity kinds of a ZooKeeper cluster.
var configKinds = []string{"topics", "brokers", "clients", "users", "ips"}

// WatchConfigChanges calls fn(kind, name) for every entity whose configuration changes, on one goroutine, until ctx
// ends. It returns when the watch is armed. Notifications that are there already are delivered too, so that nothing is
// missed between reading the configurations and this call; fn must re-read the entity and may be called once too often.
// When more time than a notification lives has passed without a look, every entity is reported.
func (c *Client) WatchConfigChanges(ctx context.Context, fn func(kind, name string)) error {
	w := &configWatcher{client: c, fn: fn, last: -1, lastLook: time.Now()}
	return c.followChildren(ctx, ConfigChangesPath, w.look)
}

// followChildren runs look, which must list the children of path (Watch), on a goroutine of its own: now, and whenever one comes or goes, until ctx ends.
func (c *Client) followChildren(ctx context.Context, path string, look func() error) error {
	changed := make(chan struct{}, 1)
	cancel, err := c.Watch(path, WatchChildren, func() {
		select {
		case changed <- struct{}{}:
		default:
		}
	})
	if err != nil {
		return err
	}
	c.workers.Go(func() {
		defer cancel()
		for {
			if err := look(); errors.Is(err, ErrClosed) {
				return
			} else if err != nil {
				c.log.Error("Error while processing a change of "+path, "error", err)
			}
			select {
			case <-changed:
			case <-ctx.Done():
				return
			case <-c.closed:
				return
			}
		}
	})
	return nil
}

type configWatcher struct {
	client   *Client
	fn       func(kind, name string)
	last     int64 // highest sequence number delivered
	lastLook time.Time
}

func (w *configWatcher) look() error {
	names, err := w.client.children(ConfigChangesPath)
	if err != nil {
		return err
	}
	now := time.Now()
	gap := now.Sub(w.lastLook)
	w.lastLook = now
	slices.SortFunc(names, func(a, b string) int { return int(sequenceOf(a) - sequenceOf(b)) })
	if gap >= configChangeExpiry {
		if err := w.all(); err != nil {
			return err
		}
	}
	seen := map[string]bool{}
	for _, name := range names {
		seq := sequenceOf(name)
		if seq <= w.last {
			continue
		}
		if err := w.deliver(name, seen); err != nil {
			return err
		}
		w.last = seq
	}
	return w.purge(names, now)
}

// deliver hands one notification on; an entity is reported once per look, since fn reads its newest state.
func (w *configWatcher) deliver(node string, seen map[string]bool) error {
	data, stat, err := w.client.getOrNil(ConfigChangesPath + "/" + node)
	if err != nil || stat == nil {
		return err
	}
	kind, name, err := DecodeConfigChange(data)
	if err != nil {
		w.client.log.Error("Ignoring a configuration change notification", "node", node, "error", err)
		return nil
	}
	if key := kind + "/" + name; !seen[key] {
		seen[key] = true
		w.fn(kind, name)
	}
	return nil
}

// all reports every entity there is: notifications may have been purged unseen.
func (w *configWatcher) all() error {
	for _, kind := range configKinds {
		names, err := w.client.children("/config/" + kind)
		if err != nil {
			return err
		}
		for _, name := range names {
			w.fn(kind, name)
		}
	}
	return nil
}

// purge removes notifications older than their lifetime, oldest first.
func (w *configWatcher) purge(sorted []string, now time.Time) error {
	for _, name := range sorted {
		path := ConfigChangesPath + "/" + name
		stat, err := w.client.exists(path)
		if err != nil {
			return err
		}
		if stat == nil {
			continue
		}
		if now.Sub(time.UnixMilli(stat.Ctime)) <= configChangeExpiry {
			return nil
		}
		if err := w.client.deleteAny(path); err != nil {
			return err
		}
	}
	return nil
}

// sequenceOf is the number at the end of a sequential znode's name, -1 when there is none.
func sequenceOf(name string) int64 {
	n, err := strconv.ParseInt(name[strings.LastIndexByte(name, '_')+1:], 10, 64)
	if err != nil {
		return -1
	}
	return n
}
