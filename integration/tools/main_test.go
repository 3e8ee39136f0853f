// Package tools runs the stock command-line tools of three Kafka releases against gregor and against Apache Kafka, step by
// step, and wants the same output and exit code from both, once what must differ (addresses, ids, times) is masked.
package tools

import (
	"os"
	"testing"

	"gregor/integration/harness"
)

func TestMain(m *testing.M) { os.Exit(harness.Main(m)) }
