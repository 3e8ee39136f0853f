package sim

import (
	"testing"

	"github.com/twmb/franz-go/pkg/kmsg"

	"gregor/replication"
	"gregor/zk"
)

// mutant takes one rule away from the product, from outside: a simulation that does not notice proves nothing.
type mutant int

const (
	noMutant                mutant = iota
	noEpochTruncation              // leaders do not compare a follower's last epoch: it keeps what no leader has
	ackBeforeReplication           // acks=all is answered after the leader's own append
	watermarkFromLeader            // the high watermark is the leader's log end
	divergingFetchCounts           // a fetch whose log diverges counts for the watermark (KAFKA-13141)
	noVersionCheck                 // the state znode is written whatever its version
	staleControllerAccepted        // neither brokers nor ZooKeeper fence a controller of an earlier epoch (KAFKA-1188, KAFKA-6082)
	rebornReplicaInSync            // fetches do not tell a broker's life (KAFKA-14617)
	truncateToWatermark            // a follower cuts its log to its high watermark, and not by epoch (KIP-101)
	livesUnknown                   // a new controller takes whoever is registered for who was in sync
	livesFromOrder                 // it knows only which lives are younger than the state: the state does not say whom it means (isr_epochs)
)

var mutants = []struct {
	name string
	mutant
}{
	{"no epoch truncation", noEpochTruncation}, {"ack before replication", ackBeforeReplication}, {"watermark from the leader alone", watermarkFromLeader},
	{"watermark from a diverging fetch", divergingFetchCounts}, {"no zkVersion check", noVersionCheck}, {"stale controller accepted", staleControllerAccepted},
	{"reborn replica in sync", rebornReplicaInSync}, {"truncation to the watermark", truncateToWatermark},
	{"lives unknown", livesUnknown}, {"lives known from the order of transactions alone", livesFromOrder},
}

// TestMutants shows that each missing rule is noticed.
func TestMutants(t *testing.T) {
	const most = 20000 // schedules; each mutant that there is is noticed in the first few hundred
	for _, m := range mutants {
		t.Run(m.name, func(t *testing.T) {
			s := search(1, most, options{mutant: m.mutant})
			if s.seed == 0 {
				t.Fatalf("not noticed in %d schedules", s.ran)
			}
			failure, _ := retell(s.seed, options{mutant: m.mutant})
			t.Logf("seed %d: %s", s.seed, failure)
		})
	}
}

// mutateFetch is what a mutant does to a follower's fetch at the leader.
func (n *node) mutateFetch(p *replication.Partition, f *parkedFetch) {
	if n.world.options.mutant != divergingFetchCounts || f.ask.LastFetchedEpoch < 0 {
		return
	}
	unchecked := f.ask
	unchecked.LastFetchedEpoch = -1
	var out replication.Read
	_ = p.Read(unchecked, &out)
}

// mutateProposal is what a mutant does to an AlterPartition request.
func (n *node) mutateProposal(r *kmsg.AlterPartitionRequest) {
	switch n.world.options.mutant {
	case noVersionCheck:
		r.Topics[0].Partitions[0].PartitionEpoch = n.world.tree.state().Version
		r.Topics[0].Partitions[0].LeaderEpoch = n.world.tree.state().LeaderEpoch
	case rebornReplicaInSync:
		for i := range r.Topics[0].Partitions[0].NewEpochISR {
			r.Topics[0].Partitions[0].NewEpochISR[i].BrokerEpoch = -1
		}
	}
}

// mutateAppend is what a mutant does after a leader's append.
func (n *node) mutateAppend() {
	if n.world.options.mutant == watermarkFromLeader {
		l := n.disk.get(tp0)
		l.SetHighWatermark(l.end())
	}
}

// mutateLeaderAndISR is what a mutant does to a controller's request, or to the log before it.
func (n *node) mutateLeaderAndISR(r *kmsg.LeaderAndISRRequest) *kmsg.LeaderAndISRRequest {
	switch n.world.options.mutant {
	case staleControllerAccepted:
		copied := *r
		n.maxControllerEpoch = max(n.maxControllerEpoch, r.ControllerEpoch)
		copied.ControllerEpoch, copied.BrokerEpoch = n.maxControllerEpoch, -1
		return &copied
	case truncateToWatermark:
		if l := n.disk.get(tp0); l != nil && r.TopicStates[0].PartitionStates[0].Leader != n.id {
			l.leading = notLeading
			_ = l.TruncateTail(l.hw)
		}
	}
	return r
}

// mutateState is what a mutant does to a state that a controller reads.
func (w *world) mutateState(st zk.PartitionState) zk.PartitionState {
	switch w.options.mutant {
	case livesUnknown:
		st.ISREpochs, st.Modified = nil, 0
	case livesFromOrder:
		st.ISREpochs = nil
	}
	return st
}
