package zk

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"time"

	gozk "github.com/go-zookeeper/zk"
)

// Config of a session.
type Config struct {
	Connect           string        // zookeeper.connect: host:port,host:port/chroot
	SessionTimeout    time.Duration // zookeeper.session.timeout.ms
	ConnectionTimeout time.Duration // zookeeper.connection.timeout.ms: how long Connect waits for the first session
	MaxInFlight       int           // zookeeper.max.in.flight.requests: how many requests a bulk operation keeps outstanding
	Logger            func(name string) *slog.Logger
}

// Client is a session that renews itself after expiry. It is safe for concurrent use.
type Client struct {
	config  Config
	servers []string
	chroot  string // "" or "/a/b"
	log     *slog.Logger

	closed  chan struct{} // closed by Close
	expiry  chan struct{} // capacity 1: the current session has expired
	workers sync.WaitGroup

	mu struct {
		sync.Mutex
		current   *session
		previous  int64         // id of the last expired session, 0 none
		changed   chan struct{} // closed and replaced whenever the state of the current session changes
		closed    bool
		onExpired []func()
		onSession []func()
	}
	watches watchTable
}

// Connect waits for a session up to the connection timeout and creates the chroot when missing.
func Connect(ctx context.Context, config Config) (*Client, error) {
	servers, chroot, err := ParseConnect(config.Connect)
	if err != nil {
		return nil, err
	}
	c := &Client{
		config: config, servers: servers, chroot: chroot, log: config.Logger("kafka.zookeeper.ZooKeeperClient"),
		closed: make(chan struct{}), expiry: make(chan struct{}, 1),
	}
	c.mu.changed = make(chan struct{})
	c.watches.init()
	c.log.Info(fmt.Sprintf("[ZooKeeperClient Kafka server] Initializing a new session to %s.", config.Connect))
	if err := c.newSession(); err != nil {
		return nil, err
	}
	c.workers.Add(2)
	go c.renewSessions()
	go c.dispatchEvents()

	wait, cancel := context.WithTimeoutCause(ctx, config.ConnectionTimeout,
		fmt.Errorf("timed out after %v while waiting for a connection to ZooKeeper at %s", config.ConnectionTimeout, config.Connect))
	defer cancel()
	c.log.Info("[ZooKeeperClient Kafka server] Waiting until connected.")
	if _, err := c.session(wait); err != nil {
		c.Close()
		return nil, err
	}
	c.log.Info("[ZooKeeperClient Kafka server] Connected.")
	if err := c.createChroot(); err != nil {
		c.Close()
		return nil, fmt.Errorf("creating the chroot %s of zookeeper.connect: %w", chroot, err)
	}
	return c, nil
}

// OnSession registers fn to run after an expired session has been replaced by a new one, before any watch of the new
// session fires. All such functions run in the order of registration on one goroutine; the broker re-registers here.
func (c *Client) OnSession(fn func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.mu.onSession = append(c.mu.onSession, fn)
}

// OnExpired registers fn to run at expiry, before the new session, on the same goroutine. The controller resigns here.
func (c *Client) OnExpired(fn func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.mu.onExpired = append(c.mu.onExpired, fn)
}

// SessionID is the id of the current session, 0 before the first and between two.
func (c *Client) SessionID() int64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.mu.current == nil || c.mu.current.expired {
		return 0
	}
	return c.mu.current.id
}

// Close ends the session, so that its ephemerals go at once. Waiting operations return ErrClosed.
func (c *Client) Close() {
	c.mu.Lock()
	if c.mu.closed {
		c.mu.Unlock()
		return
	}
	c.mu.closed = true
	s := c.mu.current
	c.mu.Unlock()
	c.log.Info("[ZooKeeperClient Kafka server] Closing.")
	close(c.closed)
	if s != nil {
		s.close()
	}
	c.watches.close()
	c.workers.Wait()
	c.log.Info("[ZooKeeperClient Kafka server] Closed.")
}

// createChroot makes every element of the chroot. It works below the chroot's own prefix, so it uses full paths.
func (c *Client) createChroot() error {
	for i, r := range c.chroot {
		if i > 0 && r == '/' {
			if err := c.createFull(c.chroot[:i]); err != nil {
				return err
			}
		}
	}
	if c.chroot == "" {
		return nil
	}
	return c.createFull(c.chroot)
}

func (c *Client) createFull(path string) error {
	_, err := c.write(func(s *session) error {
		_, err := s.conn.Create(path, nil, gozk.FlagPersistent, worldAll)
		return err
	})
	if errors.Is(err, ErrNodeExists) {
		return nil
	}
	return err
}

func (c *Client) full(path string) string {
	if path == "/" && c.chroot != "" {
		return c.chroot
	}
	return c.chroot + path
}

// relative strips the chroot from a path that the server sent.
func (c *Client) relative(path string) string {
	if p := strings.TrimPrefix(path, c.chroot); p != "" {
		return p
	}
	return "/"
}

// worldAll is the ACL of zookeeper.set.acl=false.
var worldAll = gozk.WorldACL(gozk.PermAll)
