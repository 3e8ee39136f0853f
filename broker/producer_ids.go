package broker

import (
	"context"
	"fmt"
	"net"
	"strconv"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"gregor/protocol"
	"gregor/protocol/peer"
)

const (
	producerIDWait         = time.Second      // how long a request waits for a block
	producerIDFetchTimeout = 10 * time.Second // how long the controller may take
	producerIDPrefetch     = 0.9              // the share of a block after whose use the next one is fetched (ProducerIdManager)
)

// producerIDs hands out producer ids from blocks that the controller gives to this broker (KIP-730). No id is ever given twice in a cluster; what is left of
// the blocks is lost when the broker stops.
type producerIDs struct {
	life     context.Context // ends with the broker
	allocate func(ctx context.Context) (idBlock, error)
	failed   func(err error)

	mu struct {
		sync.Mutex
		current  idBlock
		next     idBlock  // empty unless prefetched
		prefetch int64    // the id of current whose use starts the fetch of the next block
		fetching *idFetch // nil when none is under way
	}
}

// idBlock is the ids from first on, below end.
type idBlock struct{ first, end int64 }

// idFetch is one question to the controller. err is set before done is closed.
type idFetch struct {
	done chan struct{}
	err  error
}

func newProducerIDs(b *Broker) *producerIDs {
	return &producerIDs{
		life: b.ctx, allocate: b.allocateProducerIDs,
		failed: func(err error) {
			b.logging.Logger("kafka.coordinator.transaction.RPCProducerIdManager").Warn(fmt.Sprintf("Could not get a block of producer ids: %v", err))
		},
	}
}

// next returns an unused id, waiting a while for a block when there is none: COORDINATOR_LOAD_IN_PROGRESS makes the client ask again.
func (p *producerIDs) next(ctx context.Context) (int64, protocol.ErrorCode) {
	ctx, cancel := context.WithTimeout(ctx, producerIDWait)
	defer cancel()
	for {
		id, fetch := p.take()
		if fetch == nil {
			return id, protocol.None
		}
		select {
		case <-fetch.done:
		case <-ctx.Done():
			return -1, protocol.CoordinatorLoadInProgress
		}
		if fetch.err != nil {
			return -1, protocol.CoordinatorLoadInProgress
		}
	}
}

// take returns an id and nil, or else the fetch of a block that is under way.
func (p *producerIDs) take() (int64, *idFetch) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.mu.current.empty() && !p.mu.next.empty() {
		p.mu.current, p.mu.next = p.mu.next, idBlock{}
		p.mu.prefetch = p.mu.current.first + int64(producerIDPrefetch*float64(p.mu.current.end-p.mu.current.first))
	}
	if p.mu.current.empty() {
		return -1, p.fetchLocked()
	}
	id := p.mu.current.first
	p.mu.current.first++
	if id >= p.mu.prefetch && p.mu.next.empty() {
		p.fetchLocked()
	}
	return id, nil
}

func (b idBlock) empty() bool { return b.first >= b.end }

// fetchLocked starts the fetch of the next block unless one is under way.
func (p *producerIDs) fetchLocked() *idFetch {
	if p.mu.fetching == nil {
		p.mu.fetching = &idFetch{done: make(chan struct{})}
		go p.fetch(p.mu.fetching)
	}
	return p.mu.fetching
}

func (p *producerIDs) fetch(f *idFetch) {
	ctx, cancel := context.WithTimeout(p.life, producerIDFetchTimeout)
	defer cancel()
	block, err := p.allocate(ctx)
	if err != nil && p.life.Err() == nil {
		p.failed(err)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if err == nil {
		p.mu.next = block
	}
	p.mu.fetching = nil
	f.err = err
	close(f.done)
}

// allocateProducerIDs asks the controller for a block, which may be this broker. While there may be controllers that do not know the request (before
// 3.0-IV0), it takes a block out of ZooKeeper by itself, as they do.
func (b *Broker) allocateProducerIDs(ctx context.Context) (idBlock, error) {
	if !b.config.ProtocolAtLeast("3.0-IV0") {
		first, n, err := b.zk.AllocateProducerIDBlock(b.id)
		return idBlock{first, first + int64(n)}, err
	}
	r := kmsg.NewPtrAllocateProducerIDsRequest()
	r.BrokerID, r.BrokerEpoch = b.id, b.epoch.Load()
	resp, err := b.askForProducerIDs(ctx, r)
	if err != nil {
		return idBlock{}, err
	}
	if resp.ErrorCode != int16(protocol.None) {
		return idBlock{}, protocol.ErrorCode(resp.ErrorCode)
	}
	block := idBlock{resp.ProducerIDStart, resp.ProducerIDStart + int64(resp.ProducerIDLen)}
	if resp.ProducerIDStart < 0 || block.empty() {
		return idBlock{}, fmt.Errorf("the controller answered a block of %d ids from %d on", resp.ProducerIDLen, resp.ProducerIDStart)
	}
	return block, nil
}

func (b *Broker) askForProducerIDs(ctx context.Context, r *kmsg.AllocateProducerIDsRequest) (*kmsg.AllocateProducerIDsResponse, error) {
	if b.controller.Active() {
		return b.controller.AllocateProducerIDs(ctx, r), nil
	}
	host, port, ok := b.metadata.Endpoint(b.metadata.ControllerID(), b.config.InterBrokerListener())
	if !ok {
		return nil, fmt.Errorf("no controller is known")
	}
	conn := peer.New(peer.Config{
		Addr: net.JoinHostPort(host, strconv.Itoa(int(port))), ClientID: strconv.Itoa(int(b.id)),
		ConnectTimeout: producerIDFetchTimeout, RequestTimeout: producerIDFetchTimeout, MaxResponseSize: 1 << 16,
	})
	defer conn.Close()
	resp, err := conn.Request(ctx, r)
	if err != nil {
		return nil, err
	}
	return resp.(*kmsg.AllocateProducerIDsResponse), nil
}
