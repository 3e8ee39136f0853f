// Package cluster shows clusters of gregor and Apache Kafka brokers, either one the controller, either one the leader.
package cluster

import (
	"os"
	"testing"

	"gregor/integration/harness"
)

func TestMain(m *testing.M) { os.Exit(harness.Main(m)) }
