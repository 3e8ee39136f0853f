package broker

import "fmt"

// dirFailure is a log directory that went offline.
type dirFailure struct {
	dir string
	err error
}

// handleDirFailures takes the partitions of failed log directories offline and tells the controller, until the broker stops. A broker without a
// directory left stops.
func (b *Broker) handleDirFailures() {
	for {
		select {
		case f := <-b.dirFailures:
			b.handleDirFailure(f)
		case <-b.ctx.Done():
			return
		}
	}
}

func (b *Broker) handleDirFailure(f dirFailure) {
	b.replicas.DirFailed(f.dir)
	for _, d := range b.logs.Dirs() {
		if d.Err != nil {
			continue
		}
		if err := b.zk.NotifyLogDirFailure(b.id); err != nil {
			b.logging.Logger("kafka.server.ReplicaManager").Error("Cannot tell the controller of the failed log directory " + f.dir + ": " + err.Error())
		}
		return
	}
	b.fail(fmt.Errorf("shutdown broker because all log dirs have failed, %s last: %w", f.dir, f.err))
}
