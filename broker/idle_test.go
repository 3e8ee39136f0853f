package broker

import (
	"encoding/binary"
	"net"
	"os"
	"os/exec"
	"runtime"
	"runtime/debug"
	"testing"
	"time"
	"weak"

	"github.com/twmb/franz-go/pkg/kmsg"
	"golang.org/x/sys/unix"

	"gregor/broker/config"
	"gregor/protocol"
)

// serveListener has a broker that has no listeners serve one.
func serveListener(t *testing.T, b *Broker) *listener {
	t.Helper()
	b.limits = newConnectionLimits(b.config, "PLAINTEXT", b.bound)
	ln, err := b.listen(config.Listener{Name: "PLAINTEXT", Host: "127.0.0.1"})
	if err != nil {
		t.Fatal(err)
	}
	ln.start()
	t.Cleanup(ln.close)
	return ln
}

// bareClient is a blocking socket, which costs this process no memory worth counting. It ends with the process.
type bareClient int

func dialBare(t *testing.T, ln *listener) bareClient {
	t.Helper()
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	timeout := unix.NsecToTimeval(int64(patience))
	if err := unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &timeout); err != nil {
		t.Fatal(err)
	}
	if err := unix.Connect(fd, &unix.SockaddrInet4{Port: int(ln.port()), Addr: [4]byte{127, 0, 0, 1}}); err != nil {
		t.Fatal(err)
	}
	return bareClient(fd)
}

// ask sends bytes and reads one answer, which fits a few KiB.
func (c bareClient) ask(t *testing.T, request []byte) {
	t.Helper()
	if _, err := unix.Write(int(c), request); err != nil {
		t.Fatal(err)
	}
	var answer [8 << 10]byte
	for have := 0; have < 4 || have < 4+int(binary.BigEndian.Uint32(answer[:])); {
		n, err := unix.Read(int(c), answer[have:])
		if err == unix.EINTR {
			continue
		}
		if err != nil || n == 0 {
			t.Fatalf("the answer ends after %d bytes: %v", have, err)
		}
		have += n
	}
}

// sized puts the size of a frame in front of it.
func sized(frame []byte) []byte {
	return append(binary.BigEndian.AppendUint32(nil, uint32(len(frame))), frame...)
}

// TestIdleConnectionMemory: a connection that waits has a goroutine with the smallest stack and a few small structs, also after it has asked something. Each case is measured in
// a process of its own, where no stack and no object is used again.
func TestIdleConnectionMemory(t *testing.T) {
	if raceEnabled {
		t.Log("memory is counted without the race detector, which makes its own")
		return
	}
	const variable = "GREGOR_TEST_IDLE_CONNECTIONS"
	cases := map[string][][]byte{
		"connected only":            nil,
		"after a produce and fetch": {frame(kmsg.NewPtrApiVersionsRequest(), 1), sized(produceFrame(1, 1, 100)), sized(fetchFrame(0, 1<<10))},
	}
	if name := os.Getenv(variable); name != "" {
		measureIdleConnections(t, cases[name])
		return
	}
	for name := range cases {
		alone := exec.Command(os.Args[0], "-test.run=^TestIdleConnectionMemory$", "-test.v")
		alone.Env = append(os.Environ(), variable+"="+name)
		out, err := alone.CombinedOutput()
		t.Logf("%s:\n%s", name, out)
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func measureIdleConnections(t *testing.T, requests [][]byte) {
	b := hotBroker(t)
	ln := serveListener(t, b)
	debug.SetGCPercent(-1) // a collection would shrink stacks
	accepted := 0
	open := func(n int) {
		for range n {
			c := dialBare(t, ln)
			for _, r := range requests {
				c.ask(t, r)
			}
		}
		accepted += n
		eventually(t, "all connections are accepted", func() bool {
			ln.mu.Lock()
			defer ln.mu.Unlock()
			return len(ln.mu.conns) == accepted
		})
	}
	open(50) // makes the workers' and the pools' memory
	const n = 500
	before := memoryInUse()
	open(n)
	each := (memoryInUse() - before) / n
	t.Logf("%d bytes per idle connection", each)
	if each > 4<<10 {
		t.Errorf("an idle connection costs %d bytes, want at most 4 KiB: 2 KiB of stack, and structs", each)
	}
}

// memoryInUse is what stacks and live objects take, in bytes; not what lies in pools, which two collections empty.
func memoryInUse() int {
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	stacks := m.StackInuse
	runtime.GC()
	runtime.GC()
	runtime.ReadMemStats(&m)
	return int(stacks + m.HeapAlloc)
}

// TestIdleConnectionPinsNoBuffer: what a connection keeps of its requests does not hold the memory that they were read into, once that was given back.
func TestIdleConnectionPinsNoBuffer(t *testing.T) {
	b := hotBroker(t)
	c := hotConn(t, b)
	w := c.worker
	serve := func(n int, one []byte) weak.Pointer[byte] {
		burst := make([]byte, 0, n*(4+len(one)))
		for range n {
			burst = append(burst, sized(one)...)
		}
		c.in, c.r, c.w = &buffer{b: burst, class: -1}, 0, len(burst) // belongs to no pool, which would hold it, too
		serveBuffer(t, c)
		if err := c.out.flush(); err != nil {
			t.Fatal(err)
		}
		c.in.release()
		c.in = nil
		return weak.Make(&burst[0])
	}
	for name, read := range map[string]weak.Pointer[byte]{"produce": serve(3, produceFrame(1, 15, 1000)), "fetch": serve(1, fetchFrame(0, 1<<10))} {
		if runtime.GC(); read.Value() == nil {
			t.Logf("%s: let go at once", name) // nothing to show, but right
		}
		w.letGo()
		runtime.GC()
		if read.Value() != nil {
			t.Errorf("%s: the memory of the request is still referred to", name)
		}
		w.takeOn(c)
	}
}

// TestBusyConnectionCools: a connection whose requests come quickly stays with its worker; once it is quiet it goes back, and loses nothing.
func TestBusyConnectionCools(t *testing.T) {
	b := hotBroker(t)
	ln := serveListener(t, b)
	nc, err := net.Dial("tcp", ln.tcp.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	if err := nc.SetDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	c := &client{Conn: nc, t: t}
	busy := func() int {
		ln.busy.mu.Lock()
		defer ln.busy.mu.Unlock()
		return len(ln.busy.mu.conns)
	}
	eventually(t, "the connection is busy", func() bool { c.alive(); return busy() == 1 })
	eventually(t, "the connection has cooled", func() bool { return busy() == 0 })
	eventually(t, "its worker is free", func() bool {
		ln.crew.mu.Lock()
		defer ln.crew.mu.Unlock()
		return len(ln.crew.mu.free) == 1
	})
	c.produced("hot", 0, "a")
	// Half a frame is no reason to stay, and no reason to lose it.
	eventually(t, "the connection is busy", func() bool { c.alive(); return busy() == 1 })
	bytes := protocol.AppendRequest(nil, 1000, "test", kmsg.NewPtrApiVersionsRequest())
	if _, err := c.Write(bytes[:7]); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the connection has cooled", func() bool { return busy() == 0 })
	if _, err := c.Write(bytes[7:]); err != nil {
		t.Fatal(err)
	}
	c.receive(kmsg.NewPtrApiVersionsRequest(), 1000)
}
