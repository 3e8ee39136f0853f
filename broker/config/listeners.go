package config

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// Listener is one entry of listeners or advertised.listeners, resolved through listener.security.protocol.map.
type Listener struct {
	Name     string // upper case, as Kafka keeps it
	Protocol string // PLAINTEXT, SSL, SASL_PLAINTEXT, SASL_SSL
	Host     string // "" in a listener means all interfaces
	Port     int32  // 0 in a listener means any free port
}

// Listeners are what the broker binds, in the order of the setting.
func (s *Store) Listeners() []Listener { return s.current.Load().listeners }

// AdvertisedListeners are what clients are told, in the order of the setting. An empty host is filled in with this
// machine's canonical name; port 0 stays: the bound port decides.
func (s *Store) AdvertisedListeners() []Listener {
	advertised := slices.Clone(s.current.Load().advertised)
	for i := range advertised {
		if advertised[i].Host == "" {
			advertised[i].Host = canonicalHost()
		}
	}
	return advertised
}

// InterBrokerListener is the name of the listener that brokers use among themselves.
func (s *Store) InterBrokerListener() string { return s.current.Load().interBroker }

// canonicalHost is the full name of this machine, as InetAddress.getLocalHost().getCanonicalHostName() finds it: the
// host name, its address, that address' name. Where a step fails, the host name as it is.
var canonicalHost = sync.OnceValue(func() string {
	host, err := os.Hostname()
	if err != nil {
		return "localhost"
	}
	ctx, cancel := context.WithTimeout(context.Background(), 3*time.Second)
	defer cancel()
	addresses, err := net.DefaultResolver.LookupHost(ctx, host)
	if err != nil || len(addresses) == 0 {
		return host
	}
	names, err := net.DefaultResolver.LookupAddr(ctx, addresses[0])
	if err != nil || len(names) == 0 {
		return host
	}
	return strings.TrimSuffix(names[0], ".")
})

var (
	endpointPattern = regexp.MustCompile(`^(.*)://\[?([0-9a-zA-Z\-%._:]*)\]?:(-?[0-9]+)$`)
	hostPattern     = regexp.MustCompile(`^[0-9a-zA-Z\-%._:]*$`)
	protocols       = []string{"PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"}
)

// deriveListeners fills in listeners, advertised and interBroker (KafkaConfig.listeners and what follows it).
func (c *snapshot) deriveListeners() error {
	byName, err := c.protocolMap()
	if err != nil {
		return err
	}
	if c.listeners, err = parseListeners(c.text("listeners"), byName); err != nil {
		return err
	}
	if err := checkPorts(c.text("listeners"), c.listeners); err != nil {
		return err
	}
	c.advertised = c.listeners
	if v := c.get("advertised.listeners", String); !v.null {
		if c.advertised, err = parseListeners(v.text, byName); err != nil {
			return err
		}
	}
	c.interBroker = c.text("security.inter.broker.protocol")
	if v := c.get("inter.broker.listener.name", String); !v.null {
		if _, both := c.originals["security.inter.broker.protocol"]; both {
			return &InvalidValueError{Why: "Only one of inter.broker.listener.name and security.inter.broker.protocol should be set."}
		}
		c.interBroker = strings.ToUpper(v.text)
		if byName[c.interBroker] == "" {
			return &InvalidValueError{Why: fmt.Sprintf("Listener with name %s defined in inter.broker.listener.name not found in listener.security.protocol.map.", c.interBroker)}
		}
	}
	if name := strings.ToUpper(c.text("control.plane.listener.name")); name != "" && byName[name] == "" {
		return &InvalidValueError{Why: fmt.Sprintf("Listener with %s defined in control.plane.listener.name not found in listener.security.protocol.map.", name)}
	}
	return nil
}

// protocolMap reads listener.security.protocol.map: listener name to security protocol.
func (c *snapshot) protocolMap() (map[string]string, error) {
	byName := make(map[string]string)
	for _, entry := range nonEmptyElements(c.text("listener.security.protocol.map")) {
		colon := strings.LastIndexByte(entry, ':')
		if colon < 0 {
			return nil, ruleErrorf("Error parsing configuration property 'listener.security.protocol.map': '%s' is not of the form name:protocol", entry)
		}
		name, protocol := strings.ToUpper(javaTrim(entry[:colon])), strings.ToUpper(javaTrim(entry[colon+1:]))
		if name == "" {
			return nil, &InvalidValueError{Why: "The provided listener name is null or empty string"}
		}
		if !slices.Contains(protocols, protocol) {
			return nil, &InvalidValueError{Why: fmt.Sprintf("Invalid security protocol `%s` defined in listener.security.protocol.map", protocol)}
		}
		byName[name] = protocol
	}
	return byName, nil
}

// parseListeners reads name://host:port,... Every name must be there once and have a protocol.
func parseListeners(raw string, byName map[string]string) ([]Listener, error) {
	listeners := []Listener{}
	seen := make(map[string]bool)
	for _, entry := range nonEmptyElements(raw) {
		l, err := parseListener(entry, byName)
		if err != nil {
			return nil, ruleErrorf("Error creating broker listeners from '%s': %s", raw, err)
		}
		if seen[l.Name] {
			return nil, requirement("Each listener must have a different name, listeners: " + raw)
		}
		seen[l.Name] = true
		listeners = append(listeners, l)
	}
	return listeners, nil
}

func parseListener(entry string, byName map[string]string) (Listener, error) {
	m := endpointPattern.FindStringSubmatch(entry)
	if m == nil {
		return Listener{}, ruleErrorf("Unable to parse %s to a broker endpoint", entry)
	}
	l := Listener{Name: strings.ToUpper(m[1]), Host: m[2]}
	port, err := strconv.ParseUint(m[3], 10, 16)
	if err != nil {
		return Listener{}, ruleErrorf("%s is not a port: it must be between 0 and 65535", m[3])
	}
	l.Port = int32(port)
	if l.Protocol = byName[l.Name]; l.Protocol == "" {
		return Listener{}, ruleErrorf("No security protocol defined for listener %s", l.Name)
	}
	return l, nil
}

// checkPorts refuses two listeners on one port, unless one has an IPv4 address and the other an IPv6 address (KIP-797).
func checkPorts(raw string, listeners []Listener) error {
	byPort := make(map[int32][]Listener)
	for _, l := range listeners {
		if l.Port != 0 {
			byPort[l.Port] = append(byPort[l.Port], l)
		}
	}
	for _, l := range listeners {
		same := byPort[l.Port]
		if len(same) < 2 {
			continue
		}
		var v4, v6 int
		for _, other := range same {
			if address, err := netip.ParseAddr(other.Host); err == nil && address.Is4() {
				v4++
			} else if err == nil {
				v6++
			}
		}
		switch {
		case len(same) == 2 && v4 == 1 && v6 == 1:
		case len(same) == 2 && v4+v6 == 2:
			return requirement(fmt.Sprintf("If you have two listeners on the same port then one needs to be IPv4 and the other IPv6, listeners: %s, port: %d", raw, l.Port))
		case v4+v6 == 0:
			return requirement("Each listener must have a different port, listeners: " + raw)
		default:
			return ruleErrorf("Each listener must have a different port unless exactly one listener has an IPv4 address and the other IPv6 address, listeners: %s, port: %d", raw, l.Port)
		}
	}
	return nil
}

// nonEmptyElements splits at commas, trims, and drops what is empty.
func nonEmptyElements(raw string) []string {
	return slices.DeleteFunc(splitList(javaTrim(raw)), func(s string) bool { return s == "" })
}

// names lists listener names for a message.
func names(listeners []Listener) string {
	list := make([]string, len(listeners))
	for i, l := range listeners {
		list[i] = l.Name
	}
	return strings.Join(list, ",")
}
