package cluster

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kadm"

	"gregor/integration/harness"
)

// lives: gregor's controller writes into a partition's state which lives of brokers its ISR means. Kafka's tools and brokers, its controller included, read over it, and
// what an Apache Kafka controller has written says nothing of them.
func lives(t *testing.T, c *harness.Cluster) {
	const topic, path = "lives", "/brokers/topics/lives/partitions/0/state"
	c.CreateTopic(topic, [][]int32{{2, 3}}, nil)
	meant(t, c, path, true)
	for _, line := range []string{
		harness.RunTool(t, "2.0.0", "", "topics", "--zookeeper", c.Broker(1).Connect, "--describe", "--topic", topic).Stdout,
		harness.RunTool(t, harness.ApacheVersion, "", "topics", "--bootstrap-server", c.Broker(2).Addr, "--describe", "--topic", topic).Stdout,
	} {
		if fields := strings.Join(strings.Fields(line), " "); !strings.Contains(fields, "Leader: 2 Replicas: 2,3 Isr: 2,3") {
			t.Errorf("described as\n%s", line)
		}
	}
	for _, step := range []struct {
		controller int32
		leader     int32
		told       bool
	}{{2, 3, false}, {1, 2, true}} {
		c.MoveController(step.controller)
		done(t, alterAssignment(t, c, topic, assign(topic, step.leader, 5-step.leader)))
		awaitAssignment(t, c, topic, step.leader, 5-step.leader)
		adm, ctx := admin(t, c)
		answers, err := adm.ElectLeaders(ctx, kadm.ElectPreferredReplica, kadm.TopicsSet{topic: {0: {}}})
		done(t, err)
		done(t, answers[topic][0].Err)
		c.AwaitLeader(topic, 0, step.leader)
		meant(t, c, path, step.told)
	}
	deleteTopics(t, c, topic)
}

// meant wants a state to name the registrations of its ISR, or none.
func meant(t *testing.T, c *harness.Cluster, path string, told bool) {
	t.Helper()
	text, _ := c.Tree.Get(path)
	var state struct {
		ISR    []int32 `json:"isr"`
		Epochs []int64 `json:"isr_epochs"`
	}
	if err := json.Unmarshal([]byte(text), &state); err != nil {
		t.Fatal(err)
	}
	if !told {
		if strings.Contains(text, "isr_epochs") {
			t.Errorf("Apache Kafka's controller wrote %s", text)
		}
		return
	}
	for i, id := range state.ISR {
		_, stat := c.Tree.Get(fmt.Sprintf("/brokers/ids/%d", id))
		if i >= len(state.Epochs) || state.Epochs[i] != stat.Czxid {
			t.Fatalf("broker %d was registered by transaction %d, and the state is %s", id, stat.Czxid, text)
		}
	}
}
