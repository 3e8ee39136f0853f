package cluster

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"gregor/integration/harness"
)

// TestProtocol takes a mixed cluster from inter.broker.protocol.version 2.0 to 3.9, broker by broker, under traffic: first topics have no ids, leaders write
// their ISR into ZooKeeper, and all requests between brokers go out in the versions of 2.0, whoever is the controller; in the end topics have ids. Controllers
// reach brokers on a listener of their own (control.plane.listener.name).
func TestProtocol(t *testing.T) {
	subject := harness.DefaultKind()
	connect := harness.SharedZooKeeper(t).Chroot()
	c := harness.NewCluster(t, connect, []harness.Kind{harness.Apache, subject, subject}, slices.Concat(mixedSettings, []string{
		"inter.broker.protocol.version=2.0", "listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROL:PLAINTEXT", "control.plane.listener.name=CONTROL"})...)
	control := map[int32]string{}
	for _, b := range c.Brokers {
		control[b.ID()] = harness.NewBroker(t, subject, connect).Addr // a free port
		b.Set["listeners"] += ",CONTROL://" + control[b.ID()]
	}
	c.Start()
	c.CreateTopic("protocol", [][]int32{{1, 2, 3}, {2, 3, 1}, {3, 1, 2}}, nil)
	if znode, _ := c.Tree.Get("/brokers/topics/protocol"); strings.Contains(znode, "topic_id") {
		t.Errorf("a topic of 2.0 with an id: %s", znode)
	}
	registeredIn(t, c, 4)
	tr := startTraffic(t, c, "protocol", 3)
	for _, controller := range []int32{1, 2} {
		c.MoveController(controller)
		controlledBy(t, c, controller, control)
		featuresAre(t, c, `"version":1,"status":0`) // disabled: brokers before 2.7 know of none
		createsAndDeletes(t, c, tr)
	}
	for _, b := range c.Brokers {
		b.Stop()
		b.Set["inter.broker.protocol.version"] = "3.9"
		b.Start()
		c.AwaitFullISR()
		c.AwaitAgreement()
		tr.ackedMore()
	}
	for _, controller := range []int32{1, 2} {
		c.MoveController(controller)
		featuresAre(t, c, `"version":2,"status":1`)
		createsAndDeletes(t, c, tr)
	}
	registeredIn(t, c, 5)
	if znode, _ := c.Tree.Get("/brokers/topics/protocol"); !strings.Contains(znode, "topic_id") {
		t.Errorf("a topic of 3.9 without an id: %s", znode)
	}
	tr.finish()
	compare(t, c)
	c.VerifyReplicas(".*")
}

// controlledBy wants the controller's log to say that it reached every broker on its control listener.
func controlledBy(t *testing.T, c *harness.Cluster, controller int32, control map[int32]string) {
	t.Helper()
	for id, addr := range control {
		if log := c.Broker(controller).Log(); !strings.Contains(log, "connected to "+addr+" (id: ") {
			t.Errorf("controller %d did not reach broker %d at %s", controller, id, addr)
		}
	}
}

// featuresAre wants the controller to have left /feature so, whichever it is.
func featuresAre(t *testing.T, c *harness.Cluster, want string) {
	t.Helper()
	if znode, _ := c.Tree.Get("/feature"); !strings.Contains(znode, want) || !strings.Contains(znode, `"features":{}`) {
		t.Errorf("/feature is %s under controller %d, want %s", znode, c.Controller(), want)
	}
}

// registeredIn wants every broker to have registered in that version of the JSON: 5 has a set of features, which brokers older than 2.7 do not know.
func registeredIn(t *testing.T, c *harness.Cluster, version int) {
	t.Helper()
	for _, b := range c.Brokers {
		znode, _ := c.Tree.Get(fmt.Sprintf("/brokers/ids/%d", b.ID()))
		if !strings.Contains(znode, fmt.Sprintf(`"version":%d,`, version)) || strings.Contains(znode, "features") != (version >= 5) {
			t.Errorf("not in version %d: %s", version, znode)
		}
	}
}

// createsAndDeletes has the controller make a topic, stop a broker of it, and delete it.
func createsAndDeletes(t *testing.T, c *harness.Cluster, tr *traffic) {
	t.Helper()
	c.CreateTopic("short-lived", [][]int32{{3, 1, 2}}, map[string]string{"min.insync.replicas": "1"})
	c.Broker(3).Stop()
	c.AwaitISR("short-lived", 0, 1, 2)
	tr.ackedMore()
	c.Broker(3).Start()
	c.AwaitFullISR()
	deleteTopics(t, c, "short-lived")
}
