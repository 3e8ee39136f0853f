package broker

import (
	"runtime"
	"testing"
)

// Brokers of one process that load at the same time give back what they had raised only when the last of them is done, and the vigil keeps its P.
func TestProcessorsComeBack(t *testing.T) {
	processors.Lock()
	before, inEffect := processors.own, runtime.GOMAXPROCS(0)
	vigil := processors.vigil
	processors.Unlock()
	t.Cleanup(func() {
		setProcessors(func() { processors.vigil = vigil })
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
	loading := max(loadingProcessors, own+processors.vigil)
	setProcessors(loads(+1))
	setProcessors(func() { processors.vigil = 1 })
	expect("two are loading", max(loading, own+1))
	setProcessors(loads(-1))
	expect("one is loading", max(loading, own+1))
	setProcessors(loads(-1))
	expect("none is loading", own+1)
}
