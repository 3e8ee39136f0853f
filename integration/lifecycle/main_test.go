// Package lifecycle looks at a broker's beginnings and ends: command line, configuration, signals, its znodes and session,
// its locks, a full disk.
package lifecycle

import (
	"os"
	"testing"

	"gregor/integration/harness"
)

func TestMain(m *testing.M) { os.Exit(harness.Main(m)) }
