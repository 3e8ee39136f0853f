package zk

import (
	"fmt"
	"net"
	"strconv"
	"strings"
)

// Endpoint is one advertised listener.
type Endpoint struct {
	Listener string // listener name: PLAINTEXT, INTERNAL, ...
	Protocol string // security protocol: PLAINTEXT, SSL, SASL_PLAINTEXT, SASL_SSL
	Host     string
	Port     int32
}

// Broker is /brokers/ids/N.
type Broker struct {
	ID        int32
	Endpoints []Endpoint
	Rack      *string
	JMXPort   int32 // -1 when there is none
	Timestamp int64 // ms since 1970
	Epoch     int64 // czxid of the registration; not part of the JSON

	// Old has EncodeBroker write version 4, without features (KIP-584), as is due below inter.broker.protocol.version 2.7-IV0.
	Old bool
}

// Endpoint returns the broker's endpoint on a listener.
func (b *Broker) Endpoint(listener string) (Endpoint, bool) {
	for _, e := range b.Endpoints {
		if e.Listener == listener {
			return e, true
		}
	}
	return Endpoint{}, false
}

// brokerJSON holds the fields of versions 1 to 5 (kafka.zk.BrokerIdZNode).
type brokerJSON struct {
	Features    map[string]any    `json:"features,omitzero"`
	ProtocolMap map[string]string `json:"listener_security_protocol_map"`
	Endpoints   []string          `json:"endpoints"`
	Rack        *string           `json:"rack,omitempty"`
	JMXPort     int32             `json:"jmx_port"`
	Port        int32             `json:"port"`
	Host        *string           `json:"host"`
	Version     int32             `json:"version"`
	Timestamp   decimal           `json:"timestamp"`
}

// EncodeBroker writes version 4 or 5. host and port are those of the first PLAINTEXT endpoint, for clients before 0.9.
func EncodeBroker(b Broker) []byte {
	j := brokerJSON{Version: 5, JMXPort: b.JMXPort, Port: -1, Rack: b.Rack, Timestamp: decimal(b.Timestamp),
		Features: map[string]any{}, ProtocolMap: map[string]string{}, Endpoints: []string{}}
	if b.Old {
		j.Version, j.Features = 4, nil
	}
	for _, e := range b.Endpoints {
		if e.Protocol == "PLAINTEXT" && j.Host == nil {
			j.Host, j.Port = &e.Host, e.Port
		}
		j.ProtocolMap[e.Listener] = e.Protocol
		j.Endpoints = append(j.Endpoints, e.Listener+"://"+net.JoinHostPort(e.Host, strconv.Itoa(int(e.Port))))
	}
	return encodeJSON(j)
}

// DecodeBroker reads versions 1 to 5.
func DecodeBroker(id int32, data []byte) (Broker, error) {
	j := brokerJSON{JMXPort: -1}
	if err := decodeJSON(BrokerPath(id), data, &j); err != nil {
		return Broker{}, err
	}
	b := Broker{ID: id, Rack: j.Rack, JMXPort: j.JMXPort, Timestamp: int64(j.Timestamp)}
	if len(j.Endpoints) == 0 {
		if j.Host == nil || j.Port <= 0 || j.Port > 65535 {
			return Broker{}, fmt.Errorf("%s has neither endpoints nor host and port", BrokerPath(id))
		}
		b.Endpoints = []Endpoint{{Listener: "PLAINTEXT", Protocol: "PLAINTEXT", Host: *j.Host, Port: j.Port}}
		return b, nil
	}
	for _, s := range j.Endpoints {
		e, err := parseEndpoint(s)
		if err != nil {
			return Broker{}, fmt.Errorf("%s: %w", BrokerPath(id), err)
		}
		e.Protocol = e.Listener
		if j.ProtocolMap != nil {
			if e.Protocol = j.ProtocolMap[e.Listener]; e.Protocol == "" {
				return Broker{}, fmt.Errorf("%s: no security protocol for listener %q", BrokerPath(id), e.Listener)
			}
		}
		b.Endpoints = append(b.Endpoints, e)
	}
	return b, nil
}

// parseEndpoint reads NAME://host:port; an IPv6 host stands in brackets, an empty host means the default address.
func parseEndpoint(s string) (Endpoint, error) {
	name, rest, ok := strings.Cut(s, "://")
	host, port, err := net.SplitHostPort(rest)
	if !ok || name == "" || err != nil {
		return Endpoint{}, fmt.Errorf("endpoint %.80q is not NAME://host:port", s)
	}
	n, err := strconv.ParseInt(port, 10, 32)
	if err != nil || n < -1 || n > 65535 {
		return Endpoint{}, fmt.Errorf("endpoint %.80q has no valid port", s)
	}
	return Endpoint{Listener: strings.ToUpper(name), Host: host, Port: int32(n)}, nil
}
