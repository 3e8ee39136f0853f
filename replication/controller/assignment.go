package controller

import "slices"

// assignment is where a partition's replicas are, and during a reassignment (KIP-455) where they go: replicas is then
// the target followed by those of the origin that will go.
type assignment struct {
	replicas, adding, removing []int32
}

func (a assignment) isBeingReassigned() bool { return len(a.adding) > 0 || len(a.removing) > 0 }

// origin is the assignment before the reassignment, target after it.
func (a assignment) origin() []int32 { return without(a.replicas, a.adding) }
func (a assignment) target() []int32 { return without(a.replicas, a.removing) }

// reassignTo is the assignment while replicas move from the origin of a to target.
func (a assignment) reassignTo(target []int32) assignment {
	origin := a.origin()
	full := slices.Concat(target, without(origin, target))
	return assignment{replicas: full, adding: without(full, origin), removing: without(full, target)}
}

func (a assignment) equal(b assignment) bool {
	return slices.Equal(a.replicas, b.replicas) && slices.Equal(a.adding, b.adding) && slices.Equal(a.removing, b.removing)
}
