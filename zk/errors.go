package zk

import (
	"errors"

	gozk "github.com/go-zookeeper/zk"
)

// Errors of single operations. Callers compare with errors.Is.
var (
	ErrNoNode     = gozk.ErrNoNode
	ErrNodeExists = gozk.ErrNodeExists
	ErrBadVersion = gozk.ErrBadVersion
	ErrNotEmpty   = gozk.ErrNotEmpty

	// ErrSessionExpired: the session in which the operation was begun is gone. Reads are repeated in the next session
	// and do not return it; writes do, because what they meant (an ephemeral, a fence) belonged to the old session.
	ErrSessionExpired = gozk.ErrSessionExpired

	// ErrClosed: Close was called.
	ErrClosed = errors.New("the ZooKeeper client is closed")

	// ErrControllerMoved: another broker has raised /controller_epoch since this one was elected; nothing was written.
	ErrControllerMoved = errors.New("the controller has moved: /controller_epoch was changed by another broker")
)

// answered reports whether err is the server's answer to a request (nil included), as opposed to a connection that
// was lost before the answer came.
func answered(err error) bool {
	switch {
	case err == nil,
		errors.Is(err, gozk.ErrNoNode), errors.Is(err, gozk.ErrNodeExists), errors.Is(err, gozk.ErrBadVersion),
		errors.Is(err, gozk.ErrNotEmpty), errors.Is(err, gozk.ErrNoAuth), errors.Is(err, gozk.ErrInvalidACL),
		errors.Is(err, gozk.ErrNoChildrenForEphemerals), errors.Is(err, gozk.ErrAPIError),
		errors.Is(err, gozk.ErrAuthFailed), errors.Is(err, gozk.ErrInvalidPath), errors.Is(err, gozk.ErrInvalidFlags),
		errors.Is(err, gozk.ErrBadArguments), errors.Is(err, gozk.ErrShortBuffer), errors.Is(err, gozk.ErrUnhandledFieldType):
		return true
	}
	return false
}
