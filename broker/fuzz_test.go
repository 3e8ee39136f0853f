package broker

import (
	"encoding/binary"
	"errors"
	"io"
	"net"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"gregor/protocol"
)

// FuzzConnection feeds one arbitrary frame to a connection of a whole broker, and a good request behind it. Nothing may panic, neither in the
// connection, which survives it, nor elsewhere, and the broker goes on serving others. Seeds: each API in each version, empty and filled in.
func FuzzConnection(f *testing.F) {
	for _, api := range protocol.APIs() {
		for v := api.MinVersion; v <= api.MaxVersion; v++ {
			empty, full := kmsg.RequestForKey(api.Key), kmsg.RequestForKey(api.Key)
			fill(reflect.ValueOf(full).Elem(), "")
			for _, req := range []kmsg.Request{empty, full} {
				req.SetVersion(v)
				f.Add(protocol.AppendRequest(nil, 7, "fuzz", req)[4:])
			}
		}
	}
	r := startBroker(f, map[string]string{"max.connections.per.ip": "1000", "delete.topic.enable": "false"})
	r.createTopic("t", 1)
	loop, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(func() { loop.Close() })
	ln := r.bound()[0]
	f.Fuzz(func(t *testing.T, body []byte) {
		client, done := serveDirectly(t, r.Broker, ln, loop)
		stream := append(binary.BigEndian.AppendUint32(nil, uint32(len(body))), body...)
		stream = append(stream, frame(kmsg.NewPtrApiVersionsRequest(), 8)...)
		if _, err := client.Write(stream); err != nil && !closedByPeer(err) {
			t.Fatal(err)
		}
		// What waits, or is never answered, is cut short.
		if err := client.SetReadDeadline(time.Now().Add(20 * time.Millisecond)); err != nil {
			t.Fatal(err)
		}
		_, _ = client.Read(make([]byte, 1<<16))
		client.Close()
		select {
		case <-done:
		case <-time.After(patience):
			t.Fatal("the connection outlives its client")
		}
		if bug := r.log.survived(); bug != "" {
			t.Fatal(bug)
		}
	})
}

// serveDirectly connects a client to a connection of the broker, past the listener and its limits, which the requests may change.
func serveDirectly(t *testing.T, b *Broker, ln *listener, loop net.Listener) (client *net.TCPConn, done <-chan struct{}) {
	t.Helper()
	nc, err := net.Dial("tcp", loop.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	tcp, err := loop.Accept()
	if err != nil {
		t.Fatal(err)
	}
	c, err := newConn(b, ln, tcp.(*net.TCPConn))
	if err != nil {
		t.Fatal(err)
	}
	b.limits.mu.Lock()
	b.limits.countLocked(ln, c.ip(), 1)
	b.limits.mu.Unlock()
	ln.serve(c)
	return nc.(*net.TCPConn), c.ctx.Done()
}

func closedByPeer(err error) bool {
	return errors.Is(err, io.ErrClosedPipe) || strings.Contains(err.Error(), "reset") || strings.Contains(err.Error(), "broken pipe")
}

// fill gives every field of a request something in it: one element in each list, the topic t, a record batch, short times.
func fill(v reflect.Value, name string) {
	switch v.Kind() {
	case reflect.Struct:
		for i := range v.NumField() {
			if field := v.Type().Field(i); field.IsExported() && field.Name != "Version" && field.Name != "UnknownTags" {
				fill(v.Field(i), field.Name)
			}
		}
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		fill(v.Elem(), name)
	case reflect.Slice:
		if v.Type().Elem().Kind() == reflect.Uint8 {
			v.SetBytes(values("x"))
			return
		}
		v.Set(reflect.MakeSlice(v.Type(), 1, 1))
		fill(v.Index(0), name)
	case reflect.String:
		v.SetString("t")
	case reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		switch {
		case strings.Contains(name, "Millis"):
			v.SetInt(10)
		case strings.HasSuffix(name, "Epoch"), strings.HasSuffix(name, "ProducerID"):
			v.SetInt(-1)
		case name == "NumPartitions", name == "ReplicationFactor", name == "Count", name == "ResourceType", name == "Acks":
			v.SetInt(1)
		}
	}
}
