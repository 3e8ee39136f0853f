package chaos

import "fmt"

// A host is one network namespace on the bridge.
type host struct {
	name string // of the namespace
	ip   string
}

// clientsIP is the test process's own address on the bridge.
const clientsIP = "10.77.0.100"

// nowhere is a hardware address that nobody has: a frame to it goes to every port of the bridge and everybody drops it.
const nowhere = "02:00:00:00:00:fe"

// makeBridge makes the bridge that every host is plugged into.
func makeBridge() error {
	for _, args := range [][]string{
		{"link", "add", "br0", "type", "bridge"},
		{"addr", "add", clientsIP + "/24", "dev", "br0"},
		{"link", "set", "br0", "up"},
	} {
		if err := run("ip", args...); err != nil {
			return err
		}
	}
	return nil
}

// makeHost makes a namespace with an address.
func makeHost(name, ip string) (host, error) {
	h := host{name, ip}
	for _, args := range [][]string{
		{"netns", "add", name},
		{"link", "add", "veth-" + name, "type", "veth", "peer", "name", "eth0", "netns", name},
		{"link", "set", "veth-" + name, "master", "br0", "up"},
		{"-n", name, "addr", "add", ip + "/24", "dev", "eth0"},
		{"-n", name, "link", "set", "eth0", "up"},
		{"-n", name, "link", "set", "lo", "up"},
	} {
		if err := run("ip", args...); err != nil {
			return h, err
		}
	}
	return h, nil
}

// enter is the command that runs another one in the namespace; the process stays the same.
func (h host) enter() []string { return []string{"nsenter", "--net=/run/netns/" + h.name, "--"} }

// drop has everything vanish that h sends to the others. What they send still arrives, but h's answers do not.
func (h host) drop(to ...host) error {
	for _, other := range to {
		if err := run("ip", "-n", h.name, "neigh", "replace", other.ip, "lladdr", nowhere, "nud", "permanent", "dev", "eth0"); err != nil {
			return err
		}
	}
	return nil
}

// isolate cuts h from the others in both directions.
func (h host) isolate(from ...host) error {
	if err := h.drop(from...); err != nil {
		return err
	}
	for _, other := range from {
		if err := other.drop(h); err != nil {
			return err
		}
	}
	return nil
}

// heal has h reach everybody again.
func (h host) heal() error {
	if err := run("ip", "-n", h.name, "neigh", "flush", "nud", "permanent", "dev", "eth0"); err != nil {
		return fmt.Errorf("healing: %w", err)
	}
	return nil
}
