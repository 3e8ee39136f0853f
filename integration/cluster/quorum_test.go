package cluster

import (
	"slices"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"gregor/integration/harness"
)

// TestQuorum takes ZooKeeper away for a minute, five times as long as a session lasts: two servers of three are killed, and the third serves nobody alone.
// Whoever leads a partition or coordinates a group goes on, in a cluster of the broker under test and in one where it is leader and follower of Apache Kafka.
// When one server is back, everybody comes together again.
func TestQuorum(t *testing.T) {
	subject := harness.DefaultKind()
	ensemble := harness.StartEnsemble(t, 3)
	alone := harness.StartCluster(t, ensemble.Connect+"/alone", slices.Repeat([]harness.Kind{subject}, 3), mixedSettings...)
	alone.CreateTopic("alone", [][]int32{{1, 2, 3}, {2, 3, 1}, {3, 1, 2}}, nil)
	both := harness.StartCluster(t, ensemble.Connect+"/both", []harness.Kind{subject, harness.Apache}, mixedSettings...)
	both.CreateTopic("both", [][]int32{{1, 2}, {2, 1}}, nil)

	clusters := []*harness.Cluster{alone, both}
	traffics := []*traffic{startTraffic(t, alone, "alone", 3), startTraffic(t, both, "both", 2)}
	for _, tr := range traffics {
		tr.ackedMore()
	}
	killed := ensemble.LoseQuorum(t)
	began := time.Now()
	for n := 0; time.Since(began) < time.Minute; n++ {
		for i, tr := range traffics {
			tr.ackedMore()
			newcomer := clusters[i].Client(kgo.RecordPartitioner(kgo.ManualPartitioner())) // who connects only now is served, too
			harness.Produce(t, newcomer, &kgo.Record{Topic: tr.topic, Value: record{series{"newcomers", 0}, n}.value()})
			newcomer.Close()
		}
		time.Sleep(time.Second)
	}
	for _, tr := range traffics {
		tr.groupsCatchUp()
	}
	killed[0].Restart(t)
	for i, tr := range traffics {
		c := clusters[i]
		c.AwaitController()
		c.AwaitFullISR()
		c.AwaitAgreement()
		c.CreateTopic("after", [][]int32{{2, 1}}, nil)
		tr.ackedMore()
		tr.finish()
		compare(t, c)
		c.VerifyReplicas(".*")
	}
}
