package zk

import (
	"context"
	"errors"
	"fmt"
	"time"

	gozk "github.com/go-zookeeper/zk"
)

// Fence proves an election. Every write made under it fails with ErrControllerMoved once another broker has been
// elected, and with ErrSessionExpired once the session that held /controller is gone.
type Fence struct {
	Epoch   int32 // the controller epoch
	version int32 // dataVersion of /controller_epoch at the election
	session *session
}

// ErrNotElected: another broker is the controller.
var ErrNotElected = errors.New("another broker is the controller")

// Controller reads /controller; -1 when there is none.
func (c *Client) Controller() (id int32, err error) {
	data, stat, err := c.getOrNil(ControllerPath)
	if err != nil || stat == nil {
		return -1, err
	}
	return DecodeController(data)
}

// ControllerEpoch reads /controller_epoch, 0 when there was no controller yet.
func (c *Client) ControllerEpoch() (int32, error) {
	data, stat, err := c.getOrNil(ControllerEpochPath)
	if err != nil || stat == nil {
		return 0, err
	}
	return decodeControllerEpoch(data)
}

// ElectController tries to become the controller: MULTI of the ephemeral /controller and the raised /controller_epoch.
// ErrNotElected when another broker was first.
func (c *Client) ElectController(brokerID int32) (Fence, error) {
	s, err := c.session(context.Background())
	if err != nil {
		return Fence{}, err
	}
	if err := c.createMissing(ControllerEpochPath, []byte("0")); err != nil {
		return Fence{}, err
	}
	data, stat, err := c.get(ControllerEpochPath)
	if err != nil {
		return Fence{}, err
	}
	epoch, err := decodeControllerEpoch(data)
	if err != nil {
		return Fence{}, err
	}
	epoch++
	err = c.multi(s,
		createOp(ControllerPath, EncodeController(brokerID, time.Now().UnixMilli()), gozk.FlagEphemeral),
		setOp(ControllerEpochPath, fmt.Appendf(nil, "%d", epoch), stat.Version))
	switch {
	case errors.Is(err, ErrNodeExists), errors.Is(err, ErrBadVersion):
		return Fence{}, ErrNotElected
	case err != nil:
		return Fence{}, err
	}
	return Fence{Epoch: epoch, version: stat.Version + 1, session: s}, nil
}

// Lost reports whether the session of an election is known to be gone, and /controller with it.
func (c *Client) Lost(f Fence) bool {
	select {
	case <-f.session.gone:
		return true
	default:
		return false
	}
}

// Resign gives /controller up. Only the elected controller can: nothing happens to a successor's znode.
func (c *Client) Resign(f Fence) error {
	err := c.fenced(f, deleteOp(ControllerPath, -1))
	if errors.Is(err, ErrNoNode) || errors.Is(err, ErrControllerMoved) || errors.Is(err, ErrSessionExpired) {
		return nil
	}
	return err
}

// fenced does all operations if f still holds. The error of a failed operation is that operation's own.
func (c *Client) fenced(f Fence, ops ...any) error {
	err := c.multi(f.session, append([]any{checkOp(ControllerEpochPath, f.version)}, ops...)...)
	var failed *multiError
	if errors.As(err, &failed) && failed.index == 0 {
		return fmt.Errorf("%w (our epoch %d)", ErrControllerMoved, f.Epoch)
	}
	return err
}

// SetFeatures brings /feature into line with this controller's inter.broker.protocol.version, as the controller does before anything else (KIP-584): version is that of
// the JSON, 0 stands for brokers that know of no features, which has them disabled. What is finalized stays as long as they are enabled: it is another version's promise.
func (c *Client) SetFeatures(f Fence, version int32) error {
	data, stat, err := c.getOrNil(FeaturePath)
	if err != nil {
		return err
	}
	want := newFeatures(version)
	if stat == nil {
		err = c.fenced(f, createOp(FeaturePath, encodeJSON(want), gozk.FlagPersistent))
	} else {
		var now featuresJSON
		if err := decodeJSON(FeaturePath, data, &now); err != nil {
			c.log.Error("Leaving features as they are, which cannot be read", "error", err)
			return nil
		}
		if now.Version == want.Version && now.Status == want.Status && (want.Status == featuresEnabled || len(now.Features) == 0) ||
			want.Status == featuresEnabled && now.Status == featuresEnabled && len(now.Features) > 0 {
			return nil
		}
		err = c.fenced(f, setOp(FeaturePath, encodeJSON(want), stat.Version))
	}
	if ownFault(err) {
		return nil // somebody else was faster, and everybody else is wrong about it
	}
	return err
}
