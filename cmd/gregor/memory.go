package main

import (
	"context"
	"fmt"
	"math"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"time"

	"github.com/KimMachineGun/automemlimit/memlimit"
	"golang.org/x/sys/unix"

	"gregor/broker/logging"
)

// memoryShare is the part of a cgroup's memory limit that Go's heap may take. The rest is for sockets, and for pages of files that are just being written.
const memoryShare = 0.8

// limitMemory has Go's collector work harder before a container's memory limit is reached, as GOMEMLIMIT does, which wins when it is set.
func limitMemory(logs *logging.Registry) {
	logger := logs.Logger(serverLogger)
	limit, err := memlimit.Set(memlimit.WithRatio(memoryShare))
	switch {
	case err != nil:
		logger.Warn("Cannot find out whether a cgroup limits memory: " + err.Error())
	case limit != math.MaxInt64:
		logger.Info(fmt.Sprintf("The heap is limited to %d MiB", limit>>20))
	}
}

// restInterval is how often giveBack looks.
const restInterval = 5 * time.Second

// giveBack returns memory that is not needed any more to the system, once the broker has next to nothing to do. Go's collector by itself keeps as much again as is in use, and a burst (10,000 partitions are created, a group rebalances) may leave an idle broker with that until the next one. It returns when ctx ends.
func giveBack(ctx context.Context) {
	ticker := time.NewTicker(restInterval)
	defer ticker.Stop()
	var r rest
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
			if r.due(readHeap(), processorTime()) {
				runtime.GC() // what lies in pools goes with the second collection
				debug.FreeOSMemory()
				r.returned()
			}
		}
	}
}

// heap is what Go's runtime says of its memory, in bytes.
type heap struct {
	allocated uint64 // since the start, freed or not
	live      uint64 // what the last collection found in use
	held      uint64 // what the system has given to the heap: objects, garbage and free space
}

func readHeap() heap {
	samples := []metrics.Sample{
		{Name: "/gc/heap/allocs:bytes"}, {Name: "/gc/heap/live:bytes"},
		{Name: "/memory/classes/heap/objects:bytes"}, {Name: "/memory/classes/heap/unused:bytes"}, {Name: "/memory/classes/heap/free:bytes"},
	}
	metrics.Read(samples)
	v := func(i int) uint64 { return samples[i].Value.Uint64() }
	return heap{allocated: v(0), live: v(1), held: v(2) + v(3) + v(4)}
}

// processorTime is what the process has used of all processors since its start.
func processorTime() time.Duration {
	var u unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// A broker at rest allocates and computes less than this in restInterval. Allocation alone does not tell: a busy broker whose buffers are warm allocates nothing, and needs them.
const (
	quietAllocation = 1 << 20 // bytes
	quietTime       = restInterval / 50
)

// worthReturning is how many bytes are worth giveBack's work.
const worthReturning = 4 << 20

// rest decides when memory is given back.
type rest struct {
	allocated uint64 // at the last look
	used      time.Duration
	settled   uint64 // allocated when memory was last given back
}

// due takes the heap and the processor time of now, and reports whether the broker is at rest, has allocated since memory was given back, and holds much that it does not need. A collection costs as much as the heap
// is large: as many bytes must have been allocated since the last one that this function asked for.
func (r *rest) due(h heap, used time.Duration) bool {
	quiet := r.allocated != 0 && h.allocated-r.allocated < quietAllocation && used-r.used < quietTime
	r.allocated, r.used = h.allocated, used
	return quiet && h.allocated-r.settled > max(worthReturning, h.live) && h.held > h.live+max(worthReturning, h.live/4)
}

// returned notes that memory was given back just now.
func (r *rest) returned() { r.settled = r.allocated }
