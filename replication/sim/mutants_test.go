package sim

import (
	"testing"

	"github.com/twmb/franz-go/pkg/kmsg"

	"gregor/replication"
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
)

var mutants = map[string]mutant{
	"no epoch truncation": noEpochTruncation, "ack before replication": ackBeforeReplication, "watermark from the leader alone": watermarkFromLeader,
	"watermark from a diverging fetch": divergingFetchCounts, "no zkVersion check": noVersionCheck, "stale controller accepted": staleControllerAccepted,
	"reborn replica in sync": rebornReplicaInSync, "truncation to the watermark": truncateToWatermark,
}

// TestMutants shows that each missing rule is noticed.
func TestMutants(t *testing.T) {
	const most = 30000 // schedules
	for name, m := range mutants {
		t.Run(name, func(t *testing.T) {
			s := search(1, most, options{mutant: m})
			if s.seed == 0 {
				t.Fatalf("not noticed in %d schedules", s.ran)
			}
			failure, _ := retell(s.seed, options{mutant: m})
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

// unfenced is a controller's request as a broker takes it that does not know fencing.
func (n *node) unfenced(r *kmsg.LeaderAndISRRequest) *kmsg.LeaderAndISRRequest {
	copied := *r
	n.maxControllerEpoch = max(n.maxControllerEpoch, r.ControllerEpoch)
	copied.ControllerEpoch, copied.BrokerEpoch = n.maxControllerEpoch, -1
	return &copied
}
