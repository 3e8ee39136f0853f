package zk_test

import (
	"context"
	"io"
	"net"
	"sync/atomic"
	"testing"
	"time"

	"gregor/zk"
	"gregor/zk/zktest"
)

// TestServerThatDoesNotGreet: a server that accepts a connection and stays silent, as one does that is still starting, is left and tried again, well before
// the connection timeout.
func TestServerThatDoesNotGreet(t *testing.T) {
	real := zktest.Start(t)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	var dialled atomic.Int32
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			if dialled.Add(1) == 1 {
				defer c.Close() // silent until the test ends
				continue
			}
			go forward(c, real.Addr())
		}
	}()
	c, err := zk.Connect(context.Background(), zk.Config{Connect: l.Addr().String(), SessionTimeout: 6 * time.Second, ConnectionTimeout: 20 * time.Second, MaxInFlight: 10, Logger: quiet})
	if err != nil {
		t.Fatal(err)
	}
	c.Close()
	if n := dialled.Load(); n < 2 {
		t.Fatalf("connected after %d attempts", n)
	}
}

// forward joins a connection with one to addr until either ends.
func forward(c net.Conn, addr string) {
	defer c.Close()
	up, err := net.Dial("tcp", addr)
	if err != nil {
		return
	}
	defer up.Close()
	go func() {
		_, _ = io.Copy(up, c) // ends with either side
		up.Close()
	}()
	_, _ = io.Copy(c, up)
}
