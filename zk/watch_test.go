package zk

import "testing"

// A watch on children that was set by somebody who did not know of the last event may be the one that fired: it does not stand.
func TestWatchSetTooLate(t *testing.T) {
	var table watchTable
	table.init()
	const path = "/brokers/topics"
	table.mu.fns[watchKey{path, WatchChildren}] = map[int]func(){0: func() {}}
	table.fire(path)
	early, must := table.toSet(path)
	if !must {
		t.Fatal("a watch that was never set stands")
	}
	table.fire(path)
	table.set(path, early)
	late, must := table.toSet(path)
	if !must {
		t.Fatal("a watch set before the last event stands")
	}
	table.set(path, late)
	table.set(path, early) // the answer to the first reader comes last
	if _, must := table.toSet(path); must {
		t.Error("a watch set after the last event does not stand")
	}
}
