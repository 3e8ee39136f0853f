package broker

import (
	"runtime"
	"testing"
)

// Brokers of one process that load at the same time give back what they had raised only when the last of them is done, and the vigil keeps its P.
func TestProcessorsComeBack(t *testing.T) {
	processors.Lock()
	before, inEffect := processors.own, runtime.GOMAXPROCS(0)
	vigil, syncing := processors.vigil, processors.syncing
	processors.Unlock()
	t.Cleanup(func() {
		setProcessors(func() { processors.vigil, processors.syncing = vigil, syncing })
		runtime.GOMAXPROCS(inEffect)
		processors.own = before
	})
	expect := func(what string, want int) {
		t.Helper()
		if got := runtime.GOMAXPROCS(0); got != want {
			t.Errorf("%s: GOMAXPROCS %d, want %d", what, got, want)
		}
	}
	loads := func(n int) func() { return func() { processors.loading += n } }
	setProcessors(loads(+1))
	own := processors.own
	loading := max(loadingProcessors, own+processors.vigil+syncing)
	setProcessors(loads(+1))
	setProcessors(func() { processors.vigil = 1 })
	expect("two are loading", max(loading, own+1+syncing))
	setProcessors(loads(-1))
	expect("one is loading", max(loading, own+1+syncing))
	setProcessors(loads(-1))
	expect("none is loading", own+1+syncing)
	t.Setenv("GOMAXPROCS", "")
	addSyncingProcessors(8)
	expect("commits wait for a disk", own+1+8)
	addSyncingProcessors(1)
	addSyncingProcessors(1000)
	expect("commits wait for many disks", own+1+maxSyncingProcessors)
	t.Setenv("GOMAXPROCS", "3")
	processors.syncing = 0
	addSyncingProcessors(8)
	expect("the environment says how many", own+1+maxSyncingProcessors)
}
