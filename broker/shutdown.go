package broker

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strconv"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"gregor/protocol"
	"gregor/protocol/peer"
	"gregor/storage"
)

// Shutdown stops the broker in order: leadership moves away, no more requests, groups, the controller, fetchers, logs flushed and marked clean, and last the
// ZooKeeper session, so that the registration goes at once. It may be called more than once.
func (b *Broker) Shutdown() (err error) {
	b.stop.Do(func() {
		b.log("kafka.server.KafkaServer", fmt.Sprintf("[KafkaServer id=%d] shutting down", b.id))
		if b.config.Bool("controlled.shutdown.enable") {
			b.controlledShutdown()
		}
		err = b.close(true)
		b.log("kafka.server.KafkaServer", fmt.Sprintf("[KafkaServer id=%d] shut down completed", b.id))
	})
	return err
}

// abort undoes a start that failed. The logs are not marked clean: nothing is known about them.
func (b *Broker) abort() {
	b.stop.Do(func() {
		if err := b.close(false); err != nil {
			b.logging.Logger("kafka.server.KafkaServer").Warn("Stopping after a failed start: " + err.Error())
		}
	})
}

// close is the stop order. Each part may be missing when the start failed half-way.
func (b *Broker) close(clean bool) error {
	b.cancel()
	b.limits.close()
	for _, ln := range b.bound() {
		ln.close()
	}
	if b.groups != nil {
		b.groups.Stop()
	}
	if b.controller != nil {
		b.controller.Stop()
	}
	if b.replicas != nil {
		b.replicas.Close()
	}
	var err error
	if b.logs != nil {
		if err = b.logs.Close(clean); errors.Is(err, storage.ErrStorage) {
			// Said when the directory failed, too; the others are closed in order.
			b.logging.Logger("kafka.log.LogManager").Warn("Stopped with log directories that had failed: " + err.Error())
			err = nil
		}
	}
	if b.zk != nil {
		b.zk.Close()
	}
	b.workers.Wait()
	return err
}

// controlledShutdown asks the controller to move leadership away (KIP-380's broker epoch fences the request), retrying while partitions remain, as
// controlled.shutdown.max.retries and controlled.shutdown.retry.backoff.ms say: also while there is no controller, because in a rolling restart
// it may be the broker that stopped just before. A broker that is alone just stops.
func (b *Broker) controlledShutdown() {
	log := b.logging.Logger("kafka.server.KafkaServer")
	backoff := time.Duration(b.config.Long("controlled.shutdown.retry.backoff.ms")) * time.Millisecond
	log.Info(fmt.Sprintf("[KafkaServer id=%d] Starting controlled shutdown", b.id))
	for left := b.config.Int("controlled.shutdown.max.retries"); left > 0; left-- {
		started := time.Now()
		remaining, err := b.requestControlledShutdown()
		took := time.Since(started).Milliseconds()
		var refused protocol.ErrorCode
		switch {
		case err == nil && remaining == 0:
			log.Info(fmt.Sprintf("[KafkaServer id=%d] Controlled shutdown request returned successfully after %dms", b.id, took))
			return
		case errors.Is(err, errNoController) && b.alone():
			log.Info(fmt.Sprintf("[KafkaServer id=%d] No controller and no other broker to move partitions to", b.id))
			return
		case errors.Is(err, errNoController):
			log.Info(fmt.Sprintf("[KafkaServer id=%d] No controller to ask for a controlled shutdown", b.id))
		case errors.As(err, &refused):
			log.Info(fmt.Sprintf("[KafkaServer id=%d] Controlled shutdown request returned after %dms with error %v", b.id, took, refused))
		case err != nil:
			log.Warn(fmt.Sprintf("[KafkaServer id=%d] Error during controlled shutdown, possibly because leader movement took longer than the configured controller.socket.timeout.ms: %v", b.id, err))
		default:
			log.Info(fmt.Sprintf("[KafkaServer id=%d] Controlled shutdown request returned after %dms with %d partitions remaining to move", b.id, took, remaining))
		}
		if left > 1 {
			time.Sleep(backoff)
			log.Info(fmt.Sprintf("[KafkaServer id=%d] Retrying controlled shutdown (%d retries remaining)", b.id, left-1))
		}
	}
	log.Warn(fmt.Sprintf("[KafkaServer id=%d] Proceeding to do an unclean shutdown as all the controlled shutdown attempts failed", b.id))
}

// alone reports that no other broker is known to be alive.
func (b *Broker) alone() bool {
	return !slices.ContainsFunc(b.metadata.AliveBrokers(), func(id int32) bool { return id != b.id })
}

var errNoController = errors.New("no live controller is known")

func (b *Broker) requestControlledShutdown() (remaining int, err error) {
	host, port, ok := b.metadata.Endpoint(b.controller.ID(), b.config.InterBrokerListener())
	if !ok {
		return 0, errNoController
	}
	timeout := time.Duration(b.config.Int("controller.socket.timeout.ms")) * time.Millisecond
	conn := peer.New(peer.Config{Addr: net.JoinHostPort(host, strconv.Itoa(int(port))), ClientID: strconv.Itoa(int(b.id)), ConnectTimeout: timeout, RequestTimeout: timeout})
	defer conn.Close()
	req := kmsg.NewPtrControlledShutdownRequest()
	req.Version, req.BrokerID, req.BrokerEpoch = b.config.InterBrokerVersion(keyControlledShutdown), b.id, b.epoch.Load()
	answer, err := conn.Request(context.Background(), req)
	if err != nil {
		return 0, err
	}
	resp := answer.(*kmsg.ControlledShutdownResponse)
	if code := protocol.ErrorCode(resp.ErrorCode); code != protocol.None {
		return 0, code
	}
	return len(resp.PartitionsRemaining), nil
}
