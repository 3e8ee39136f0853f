package broker

import (
	"os"
	"runtime"
	"sync"
)

// A system call keeps its P until the runtime's monitor takes it away, which may be longer than the disk needs for a directory or for a small write: with a P for each processor
// of the machine only that many calls would wait for the disk at the same time.

// loadingProcessors is GOMAXPROCS while logs are loaded.
const loadingProcessors = 16

// maxSyncingProcessors bounds what is added for commits (flush.messages).
const maxSyncingProcessors = 32

// processors is how GOMAXPROCS is raised, for all brokers of the process. The first time also fixes it: a later change of the container's CPU quota is not followed.
var processors struct {
	sync.Mutex
	own     int // as the process was started with; 0: never raised
	vigil   int // 1: the vigil has one (vigil.go)
	syncing int // for commits that wait for the disk, from the first time on that they do so beside each other
	loading int // brokers that are loading logs
}

// setProcessors calls change and sets GOMAXPROCS to what follows from it.
func setProcessors(change func()) {
	processors.Lock()
	defer processors.Unlock()
	if processors.own == 0 {
		processors.own = runtime.GOMAXPROCS(0)
	}
	change()
	n := processors.own + processors.vigil + processors.syncing
	if processors.loading > 0 {
		n = max(n, loadingProcessors)
	}
	runtime.GOMAXPROCS(n)
}

// addSyncingProcessors adds Ps for as many commits as may wait for the disk at the same time.
func addSyncingProcessors(most int) {
	if processorsAreOurs() {
		setProcessors(func() { processors.syncing = max(processors.syncing, min(most, maxSyncingProcessors)) })
	}
}

// processorsAreOurs is false when the environment says how many there are.
func processorsAreOurs() bool { return os.Getenv("GOMAXPROCS") == "" }

// loadLogs is storage.Manager.Load with enough Ps for what waits for the disk.
func (b *Broker) loadLogs() error {
	if !processorsAreOurs() {
		return b.logs.Load()
	}
	setProcessors(func() { processors.loading++ })
	defer setProcessors(func() { processors.loading-- })
	return b.logs.Load()
}
