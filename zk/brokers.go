package zk

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	gozk "github.com/go-zookeeper/zk"
)

// tickSlack is added to the session timeout when waiting for a dead session's ephemeral: servers round expiry up to
// their tick (2 s by default).
const tickSlack = 3 * time.Second

// RegisterBroker creates /brokers/ids/N (MULTI of an empty ephemeral and its data) and returns its czxid, the broker
// epoch. A registration that stands already is
//
//   - deleted at once when its owner is our own previous session;
//   - waited for, up to the session timeout, when it has our endpoints: a former life of this broker that was killed;
//   - an error otherwise: another broker has this id. So is another id that advertises one of our endpoints.
func (c *Client) RegisterBroker(b Broker) (epoch int64, err error) {
	log := c.config.Logger("kafka.zk.KafkaZkClient")
	path, data := BrokerPath(b.ID), EncodeBroker(b)
	deadline := time.Now().Add(c.config.SessionTimeout + tickSlack)
	waited := false
	for {
		if err := c.checkEndpointsFree(b); err != nil {
			return 0, err
		}
		s, err := c.session(context.Background())
		if err != nil {
			return 0, err
		}
		err = c.multi(s, createOp(path, nil, gozk.FlagEphemeral), setOp(path, data, 0))
		if err == nil {
			stat, err := c.exists(path)
			if err != nil || stat == nil || stat.EphemeralOwner != s.id {
				return 0, errors.Join(ErrSessionExpired, err)
			}
			log.Info(fmt.Sprintf("Registered broker %d at path %s with addresses: %s, czxid (broker epoch): %d",
				b.ID, path, endpointList(b.Endpoints), stat.Czxid))
			return stat.Czxid, nil
		}
		if !errors.Is(err, ErrNodeExists) {
			return 0, err
		}
		gone, err := c.clearFormerLife(s, b)
		if err != nil {
			return 0, err
		}
		if gone {
			continue
		}
		if !waited {
			waited = true
			log.Info(fmt.Sprintf("%s still stands from a former life of this broker; waiting up to %v for its session to end",
				path, c.config.SessionTimeout+tickSlack))
		}
		if err := c.awaitDeletion(path, deadline); err != nil {
			return 0, fmt.Errorf("registering broker %d: %w", b.ID, err)
		}
	}
}

// clearFormerLife looks at the registration that stands in the way of b. gone: it is no more, try again. Neither gone
// nor an error: it may be ours and is to be waited for.
func (c *Client) clearFormerLife(s *session, b Broker) (gone bool, err error) {
	path := BrokerPath(b.ID)
	data, stat, err := c.getOrNil(path)
	if err != nil || stat == nil {
		return stat == nil, err
	}
	c.mu.Lock()
	previous := c.mu.previous
	c.mu.Unlock()
	if owner := stat.EphemeralOwner; owner != 0 && (owner == s.id || owner == previous) {
		err := c.multi(s, deleteOp(path, stat.Version))
		if errors.Is(err, ErrNoNode) || errors.Is(err, ErrBadVersion) {
			err = nil
		}
		return true, err
	}
	old, err := DecodeBroker(b.ID, data)
	if err == nil && sameEndpoints(old.Endpoints, b.Endpoints) {
		return false, nil
	}
	return false, fmt.Errorf("broker id %d is taken: %s is owned by session 0x%x, not ours 0x%x, and advertises %s",
		b.ID, path, stat.EphemeralOwner, s.id, endpointList(old.Endpoints))
}

// awaitDeletion waits until path is gone.
func (c *Client) awaitDeletion(path string, deadline time.Time) error {
	changed := make(chan struct{}, 1)
	cancel, err := c.Watch(path, WatchData, func() {
		select {
		case changed <- struct{}{}:
		default:
		}
	})
	if err != nil {
		return err
	}
	defer cancel()
	timer := time.NewTimer(time.Until(deadline))
	defer timer.Stop()
	// While an expired session is being replaced no watch fires, and this may run right there: look now and then.
	look := time.NewTicker(time.Second)
	defer look.Stop()
	for {
		stat, err := c.exists(path)
		if stat == nil || err != nil {
			return err
		}
		select {
		case <-changed:
		case <-look.C:
		case <-c.closed:
			return ErrClosed
		case <-timer.C:
			return fmt.Errorf("%s is still there, owned by session 0x%x: is another broker with this id running?", path, stat.EphemeralOwner)
		}
	}
}

// checkEndpointsFree refuses an endpoint that another broker has registered (kafka.server.KafkaServer.createBrokerInfo).
func (c *Client) checkEndpointsFree(b Broker) error {
	others, err := c.Brokers()
	if err != nil {
		return err
	}
	for _, o := range others {
		if o.ID == b.ID {
			continue
		}
		for _, e := range o.Endpoints {
			if slices.ContainsFunc(b.Endpoints, func(m Endpoint) bool { return m.Host == e.Host && m.Port == e.Port }) {
				return fmt.Errorf("configured end points %s:%d in advertised listeners are already registered by broker %d", e.Host, e.Port, o.ID)
			}
		}
	}
	return nil
}

func sameEndpoints(a, b []Endpoint) bool {
	key := func(e Endpoint) string { return fmt.Sprintf("%s://%s:%d", e.Listener, e.Host, e.Port) }
	as, bs := make([]string, 0, len(a)), make([]string, 0, len(b))
	for _, e := range a {
		as = append(as, key(e))
	}
	for _, e := range b {
		bs = append(bs, key(e))
	}
	slices.Sort(as)
	slices.Sort(bs)
	return slices.Equal(as, bs)
}

func endpointList(es []Endpoint) string {
	var parts []string
	for _, e := range es {
		parts = append(parts, fmt.Sprintf("%s://%s:%d", e.Listener, e.Host, e.Port))
	}
	return strings.Join(parts, ",")
}

// UpdateBroker rewrites our registration in place, after a change of the advertised listeners.
func (c *Client) UpdateBroker(b Broker) error {
	_, err := c.set(BrokerPath(b.ID), EncodeBroker(b), -1)
	return err
}

// Broker reads one registration; nil when there is none.
func (c *Client) Broker(id int32) (*Broker, error) {
	data, stat, err := c.getOrNil(BrokerPath(id))
	if err != nil || stat == nil {
		return nil, err
	}
	b, err := DecodeBroker(id, data)
	if err != nil {
		return nil, err
	}
	b.Epoch = stat.Czxid
	return &b, nil
}

// Brokers reads all registrations, ordered by id. One that cannot be read is logged and left out.
func (c *Client) Brokers() ([]Broker, error) {
	names, err := c.children(BrokerIDsPath)
	if err != nil {
		return nil, err
	}
	found := make([]*Broker, len(names))
	err = c.parallel(len(names), func(i int) error {
		id, err := strconv.ParseInt(names[i], 10, 32)
		if err != nil {
			return nil
		}
		data, stat, err := c.getOrNil(BrokerPath(int32(id)))
		if err != nil || stat == nil {
			return err
		}
		b, err := DecodeBroker(int32(id), data)
		if err != nil {
			c.log.Warn("Ignoring a broker registration that cannot be read", "error", err)
			return nil
		}
		b.Epoch = stat.Czxid
		found[i] = &b
		return nil
	})
	if err != nil {
		return nil, err
	}
	var brokers []Broker
	for _, b := range found {
		if b != nil {
			brokers = append(brokers, *b)
		}
	}
	slices.SortFunc(brokers, func(a, b Broker) int { return int(a.ID) - int(b.ID) })
	return brokers, nil
}

// GenerateBrokerID takes the next id above reserved.broker.max.id from the dataVersion of /brokers/seqid.
func (c *Client) GenerateBrokerID(reservedMax int32) (int32, error) {
	version, err := c.set(BrokerSeqIDPath, nil, -1)
	if errors.Is(err, ErrNoNode) {
		if err := c.createMissing(BrokerSeqIDPath, nil); err != nil {
			return 0, err
		}
		version, err = c.set(BrokerSeqIDPath, nil, -1)
	}
	return reservedMax + version, err
}
