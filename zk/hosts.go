package zk

import (
	"fmt"
	"net"
	"strconv"
	"strings"
	"sync"
)

// ParseConnect splits zookeeper.connect ("host:port,host:port/chroot") into servers and chroot ("" for none).
// A server without a port gets 2181.
func ParseConnect(connect string) (servers []string, chroot string, err error) {
	hosts, path := connect, ""
	if i := strings.IndexByte(connect, '/'); i >= 0 {
		hosts, path = connect[:i], strings.TrimRight(connect[i:], "/")
	}
	for _, h := range strings.Split(hosts, ",") {
		if h = strings.TrimSpace(h); h == "" {
			continue
		}
		host, port, err := net.SplitHostPort(h)
		if err != nil {
			host, port = strings.Trim(h, "[]"), "2181"
		}
		if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 {
			return nil, "", fmt.Errorf("zookeeper.connect %q: %q is not host:port", connect, h)
		}
		servers = append(servers, net.JoinHostPort(host, port))
	}
	if len(servers) == 0 {
		return nil, "", fmt.Errorf("zookeeper.connect %q names no server; expected host:port,host:port/chroot", connect)
	}
	if strings.Contains(path, "//") {
		return nil, "", fmt.Errorf("zookeeper.connect %q: the chroot %q has an empty element", connect, path)
	}
	return servers, path, nil
}

// hostProvider hands out the servers of the ensemble in turn, by name: names are resolved at each dial, so a server
// whose DNS entry is not there yet, or whose address changes, is found as soon as it is.
type hostProvider struct {
	mu      sync.Mutex
	servers []string
	next    int
	tried   int // servers handed out since the last successful session
}

func (h *hostProvider) Init(servers []string) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.servers = servers
	return nil
}

func (h *hostProvider) Len() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return len(h.servers)
}

// Next returns the next server; retryStart makes the connection pause for a second, once per full round of failures.
func (h *hostProvider) Next() (server string, retryStart bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	server = h.servers[h.next]
	h.next = (h.next + 1) % len(h.servers)
	retryStart = h.tried > 0 && h.tried%len(h.servers) == 0
	h.tried++
	return server, retryStart
}

// Connected notes that a session was established.
func (h *hostProvider) Connected() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.tried = 0
}
