package broker

import (
	"fmt"
	"slices"
	"strings"

	"gregor/broker/config"
)

// reconfigure lets changed dynamic configuration (KIP-226) take effect where something runs that has taken the old value: listeners, what is advertised of them,
// and limits that someone waits for. What is read at each use needs nothing here; topic configurations are TopicConfigs'.
func (b *Broker) reconfigure(changed []string) {
	b.limits.refresh()
	mentions := func(key string) bool { return slices.Contains(changed, key) }
	if mentions("num.replica.fetchers") {
		b.replicas.ResizeFetchers(b.config.Int("num.replica.fetchers"))
	}
	if !mentions("listeners") && !mentions("advertised.listeners") && !mentions("listener.security.protocol.map") {
		return
	}
	b.rebind()
	if err := b.zk.UpdateBroker(b.registration()); err != nil {
		b.logging.Logger("kafka.server.KafkaServer").Error("Cannot write the changed listeners to ZooKeeper: " + err.Error())
	}
}

// rebind closes listeners that are no longer configured and opens new ones. A listener whose address changed is both.
func (b *Broker) rebind() {
	log := b.logging.Logger("kafka.network.SocketServer")
	wanted := b.config.Listeners()
	var kept, dropped []*listener
	for _, ln := range b.bound() {
		if slices.Contains(wanted, ln.configured) {
			kept = append(kept, ln)
		} else {
			dropped = append(dropped, ln)
		}
	}
	b.listening.Lock()
	b.listening.all = kept
	b.listening.Unlock()
	for _, ln := range dropped {
		log.Info(fmt.Sprintf("Closing listener %s on %s", ln.name, ln.tcp.Addr()))
		ln.tcp.Close()         // its port may be wanted by a new one
		b.workers.Go(ln.close) // waits for its connections, of which one may have brought this change
	}
	for _, l := range wanted {
		if slices.ContainsFunc(kept, func(ln *listener) bool { return ln.configured == l }) {
			continue
		}
		ln, err := b.listen(l)
		if err != nil {
			log.Error(fmt.Sprintf("Cannot open listener %s: %v", l.Name, err))
			continue
		}
		ln.start()
	}
}

// bound is a snapshot of the listeners.
func (b *Broker) bound() []*listener {
	b.listening.Lock()
	defer b.listening.Unlock()
	return slices.Clone(b.listening.all)
}

// listen binds one more listener. It serves once it is started.
func (b *Broker) listen(l config.Listener) (*listener, error) {
	ln, err := bind(b, l)
	if err != nil {
		return nil, err
	}
	b.listening.Lock()
	defer b.listening.Unlock()
	if err := b.ctx.Err(); err != nil { // the broker stops, and has closed its listeners
		ln.close()
		return nil, err
	}
	b.listening.all = append(b.listening.all, ln)
	return ln, nil
}

// Addr is the bound address of a listener, by name; "" when there is none.
func (b *Broker) Addr(listener string) string {
	for _, ln := range b.bound() {
		if strings.EqualFold(ln.name, listener) {
			return ln.tcp.Addr().String()
		}
	}
	return ""
}
