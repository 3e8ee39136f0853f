package broker

import (
	"context"
	"fmt"
	"net"
	"strconv"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"gregor/protocol"
	"gregor/protocol/peer"
	"gregor/replication"
)

// A leader's ISR changes: looked for now and then, proposed by replication, carried from here to who decides. That is the controller (AlterPartition, KIP-497), or
// below inter.broker.protocol.version 2.7-IV2 the state znode itself (isr_zookeeper.go).

// Pauses before proposals are sent once more (kafka.server.DefaultAlterPartitionManager, NodeToControllerChannelManager).
const (
	isrRetryBackoff   = 50 * time.Millisecond  // after an answer
	noControllerPause = 100 * time.Millisecond // when there was nobody to ask, or no answer
)

const keyAlterPartition = 56

// startISRUpdates begins to look after the ISRs of the partitions that this broker leads, until the broker stops.
func (b *Broker) startISRUpdates() {
	b.workers.Go(b.checkISRs)
	if !b.config.ProtocolAtLeast("2.7-IV2") {
		changes := &isrChanges{propagated: time.Now()}
		b.workers.Go(func() { b.propagateISRChanges(changes) })
		b.workers.Go(func() {
			b.carryISRProposals(func(proposals []*replication.ISRProposal) ([]*replication.ISRProposal, time.Duration) {
				return b.writeISRs(proposals, changes)
			})
		})
		return
	}
	link := &controllerLink{b: b}
	b.workers.Go(func() {
		defer link.close()
		b.carryISRProposals(link.alterPartitions)
	})
}

// checkISRs is Kafka's scheduled task isr-expiration.
func (b *Broker) checkISRs() {
	ticker := time.NewTicker(max(time.Millisecond, b.replicaLagTimeMax()/2))
	defer ticker.Stop()
	for {
		select {
		case <-ticker.C:
			b.replicas.CheckISRs()
		case <-b.ctx.Done():
			return
		}
	}
}

func (b *Broker) replicaLagTimeMax() time.Duration {
	return time.Duration(b.config.Long("replica.lag.time.max.ms")) * time.Millisecond
}

// carryISRProposals hands proposals to carry, all that wait at once, one call after the other. What carry returns is handed over again after the pause it asks for.
func (b *Broker) carryISRProposals(carry func([]*replication.ISRProposal) (again []*replication.ISRProposal, pause time.Duration)) {
	for {
		select {
		case <-b.replicas.ISRProposed():
		case <-b.ctx.Done():
			return
		}
		proposals := b.replicas.TakeISRProposals()
		eligible, again, pause := b.eligible(proposals)
		if len(eligible) > 0 {
			var unanswered []*replication.ISRProposal
			unanswered, pause = carry(eligible)
			again = append(again, unanswered...)
		}
		if len(again) == 0 {
			continue
		}
		select {
		case <-time.After(pause):
		case <-b.ctx.Done():
			return
		}
		b.replicas.RequeueISRProposals(again)
	}
}

// eligible leaves out proposals that add a replica whose broker has been reborn since the fetch that brought it there: what it had then it may have lost (KIP-903,
// KAFKA-14617). Apache Kafka's controller does not look at broker epochs when it lives in ZooKeeper, so the leader does. again holds what could not be looked up.
func (b *Broker) eligible(proposals []*replication.ISRProposal) (eligible, again []*replication.ISRProposal, pause time.Duration) {
	epochs := make(map[int32]int64) // of the registrations, looked up once each; -1 for none
	for _, pr := range proposals {
		reborn, err := b.addsReborn(pr, epochs)
		switch {
		case err != nil:
			b.logging.Logger("kafka.server.DefaultAlterPartitionManager").Warn("Cannot look up the brokers of a proposed ISR: " + err.Error())
			again, pause = append(again, pr), noControllerPause
		case reborn:
			pr.Apply(replication.ISRAnswer{Code: protocol.IneligibleReplica})
		default:
			eligible = append(eligible, pr)
		}
	}
	return eligible, again, pause
}

func (b *Broker) addsReborn(pr *replication.ISRProposal, epochs map[int32]int64) (bool, error) {
	for _, member := range pr.Added {
		if member.BrokerEpoch == -1 {
			continue
		}
		epoch, known := epochs[member.Broker]
		if !known {
			registered, err := b.zk.Broker(member.Broker)
			if err != nil {
				return false, err
			}
			epoch = -1
			if registered != nil {
				epoch = registered.Epoch
			}
			epochs[member.Broker] = epoch
		}
		// A server of the ensemble may be behind: only a later registration is proof of another life.
		if epoch == -1 || epoch > member.BrokerEpoch {
			return true, nil
		}
	}
	return false, nil
}

// controllerLink is the connection to the controller that ISR changes take.
type controllerLink struct {
	b    *Broker
	addr string
	conn *peer.Conn // nil: none yet
}

func (l *controllerLink) close() {
	if l.conn != nil {
		l.conn.Close()
	}
}

// to returns the connection to the controller's address, made anew when that has changed.
func (l *controllerLink) to(addr string) *peer.Conn {
	if l.conn == nil || l.addr != addr {
		l.close()
		timeout := time.Duration(l.b.config.Int("controller.socket.timeout.ms")) * time.Millisecond
		l.addr = addr
		l.conn = peer.New(peer.Config{Addr: addr, ClientID: strconv.Itoa(int(l.b.id)), ConnectTimeout: timeout, RequestTimeout: timeout})
	}
	return l.conn
}

// alterPartitions sends one AlterPartition request and applies the answer. A controller that has been replaced is not waited for: it may be stopped, or cut off.
func (l *controllerLink) alterPartitions(proposals []*replication.ISRProposal) (again []*replication.ISRProposal, pause time.Duration) {
	b := l.b
	id := b.metadata.ControllerID()
	host, port, ok := b.metadata.Endpoint(id, b.config.ControlPlaneListener())
	if !ok {
		return proposals, noControllerPause
	}
	ctx, cancel := context.WithCancel(b.ctx)
	defer cancel()
	go func() {
		if b.metadata.Await(ctx, func() bool { return b.metadata.ControllerID() != id }) {
			cancel()
		}
	}()
	req := replication.AlterPartitionRequest(b.config.InterBrokerVersion(keyAlterPartition), b.id, b.epoch.Load(), proposals)
	resp, err := l.to(net.JoinHostPort(host, strconv.Itoa(int(port)))).Request(ctx, req)
	if err != nil {
		if b.ctx.Err() == nil {
			b.logging.Logger("kafka.server.NodeToControllerRequestThread").Info(fmt.Sprintf("AlterPartition to controller %d got no answer, trying again: %v", id, err))
		}
		return proposals, noControllerPause
	}
	return b.replicas.ApplyAlterPartition(proposals, resp.(*kmsg.AlterPartitionResponse)), isrRetryBackoff
}
