package broker

import (
	"net"
	"strconv"
	"sync"
	"time"

	"gregor/broker/config"
)

// connectionLimits holds max.connections, max.connections.per.ip (with overrides) and max.connection.creation.rate, of the broker and of
// each listener (listener.name.<l>.*), as ConnectionQuotas does (KIP-402, KIP-612).
type connectionLimits struct {
	cfg         *config.Store
	interBroker string // this listener is never held up by the broker's total (KIP-402)
	listeners   func() []*listener
	stop        chan struct{} // closed by close

	mu struct {
		sync.Mutex
		room        sync.Cond
		total       int
		perIP       map[string]int
		perListener map[string]int
		nextAccept  map[string]time.Time // listener, "" the broker: earliest moment of the next accept under the creation rate
		overrides   map[string]int       // address: limit, as of the last refresh
		closed      bool
	}
}

func newConnectionLimits(cfg *config.Store, interBroker string, listeners func() []*listener) *connectionLimits {
	q := &connectionLimits{cfg: cfg, interBroker: interBroker, listeners: listeners, stop: make(chan struct{})}
	q.mu.room.L = &q.mu
	q.mu.perIP = make(map[string]int)
	q.mu.perListener = make(map[string]int)
	q.mu.nextAccept = make(map[string]time.Time)
	q.refresh()
	return q
}

// admit counts a new connection in. It waits for a slot where the broker or the listener is full and for the creation rate, and refuses when
// the address has too many already.
func (q *connectionLimits) admit(ln *listener, ip string) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.throttleLocked(ln.name)
	for !q.mu.closed && q.fullLocked(ln.name) {
		if q.makeRoomLocked(ln.name) {
			break
		}
		q.mu.room.Wait()
	}
	if q.mu.perIP[ip] >= q.perIPLimitLocked(ip) {
		return false
	}
	q.countLocked(ln, ip, 1)
	return true
}

func (q *connectionLimits) countLocked(ln *listener, ip string, n int) {
	q.mu.total += n
	q.mu.perListener[ln.name] += n
	if q.mu.perIP[ip] += n; q.mu.perIP[ip] <= 0 {
		delete(q.mu.perIP, ip)
	}
}

// fullLocked reports whether a listener has no room for one more connection. Those that wait are not counted.
func (q *connectionLimits) fullLocked(listener string) bool {
	return q.mu.perListener[listener] >= q.limit(listener, "max.connections") || q.mu.total >= q.cfg.Int("max.connections")
}

// makeRoomLocked lets a connection of the inter-broker listener in although the broker is full, at the expense of the idlest one of another
// listener. A broker with one listener has nothing to protect.
func (q *connectionLimits) makeRoomLocked(listener string) bool {
	if listener != q.interBroker || q.mu.perListener[listener] >= q.limit(listener, "max.connections") {
		return false
	}
	for _, other := range q.listeners() {
		if other.name != q.interBroker {
			go other.closeIdlest() // it takes the listener's lock, and ends in leave, which takes ours
			return true
		}
	}
	return false
}

// leave counts a connection out.
func (q *connectionLimits) leave(ln *listener, ip string) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.countLocked(ln, ip, -1)
	q.mu.room.Broadcast()
}

// refresh takes over changed limits: host names among the overrides are resolved, and acceptors that wait look again.
func (q *connectionLimits) refresh() {
	overrides := make(map[string]int)
	for host, limit := range q.cfg.ConnectionsPerIP() {
		if ip := net.ParseIP(host); ip != nil {
			overrides[ip.String()] = limit
			continue
		}
		addrs, err := net.LookupHost(host)
		if err != nil {
			continue // a name that nobody can have is no limit for anybody
		}
		for _, addr := range addrs {
			overrides[addr] = limit
		}
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	q.mu.overrides = overrides
	q.mu.room.Broadcast()
}

// close lets every waiting acceptor go.
func (q *connectionLimits) close() {
	q.mu.Lock()
	defer q.mu.Unlock()
	if !q.mu.closed {
		q.mu.closed = true
		close(q.stop)
	}
	q.mu.room.Broadcast()
}

// throttleLocked spaces accepts so that the creation rate of the broker and of the listener holds.
func (q *connectionLimits) throttleLocked(listener string) {
	now := time.Now()
	until := now
	for key, rate := range map[string]int{"": q.cfg.Int("max.connection.creation.rate"), listener: q.limit(listener, "max.connection.creation.rate")} {
		if rate <= 0 || rate >= 1<<30 {
			continue
		}
		next := q.mu.nextAccept[key]
		if next.After(until) {
			until = next
		}
		// A listener idle for a second may take a second's worth at once, as a one-second window allows.
		if earliest := now.Add(-time.Second); next.Before(earliest) {
			next = earliest
		}
		q.mu.nextAccept[key] = next.Add(time.Second / time.Duration(rate))
	}
	if wait := until.Sub(now); wait > 0 {
		q.mu.Unlock()
		timer := time.NewTimer(wait)
		select {
		case <-timer.C:
		case <-q.stop:
			timer.Stop()
		}
		q.mu.Lock()
	}
}

// limit is listener.name.<listener>.<key> where set, else no limit of the listener's own.
func (q *connectionLimits) limit(listener, key string) int {
	if v, ok := q.cfg.ListenerOverride(listener, key); ok {
		if n, err := strconv.Atoi(v); err == nil {
			return n
		}
	}
	return 1<<31 - 1
}

// perIPLimitLocked is max.connections.per.ip unless max.connections.per.ip.overrides ("host:n,host:n") names the address.
func (q *connectionLimits) perIPLimitLocked(ip string) int {
	if limit, ok := q.mu.overrides[ip]; ok {
		return limit
	}
	return q.cfg.Int("max.connections.per.ip")
}
