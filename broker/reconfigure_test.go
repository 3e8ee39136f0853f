package broker

import (
	"net"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"gregor/protocol"
)

// alterBroker sets one dynamic configuration of broker 0 and returns the code.
func (c *client) alterBroker(key, value string) protocol.ErrorCode {
	c.t.Helper()
	req := kmsg.NewPtrIncrementalAlterConfigsRequest()
	rs := kmsg.NewIncrementalAlterConfigsRequestResource()
	rs.ResourceType, rs.ResourceName = kmsg.ConfigResourceTypeBroker, "0"
	cfg := kmsg.NewIncrementalAlterConfigsRequestResourceConfig()
	cfg.Name, cfg.Value, cfg.Op = key, &value, kmsg.IncrementalAlterConfigOpSet
	rs.Configs = append(rs.Configs, cfg)
	req.Resources = append(req.Resources, rs)
	return protocol.ErrorCode(ask[*kmsg.IncrementalAlterConfigsResponse](c, req).Resources[0].ErrorCode)
}

// A listener can be added and taken away at run time; the other goes on, and the registration says what there is.
func TestListenersChange(t *testing.T) {
	r := startBroker(t, map[string]string{"listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,EXTRA:PLAINTEXT"})
	c := r.dial()
	free, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := free.Addr().String()
	free.Close()
	if code := c.alterBroker("listeners", "PLAINTEXT://127.0.0.1:0,EXTRA://"+addr); code != protocol.None {
		t.Fatal(code)
	}
	eventually(t, "the new listener", func() bool { return r.Addr("EXTRA") == addr })
	extra := r.dialListener("EXTRA")
	extra.alive()
	eventually(t, "its registration", func() bool {
		_, port, ok := r.metadata.Endpoint(0, "EXTRA")
		return ok && port == int32(extra.RemoteAddr().(*net.TCPAddr).Port)
	})
	if code := c.alterBroker("listeners", "PLAINTEXT://127.0.0.1:0"); code != protocol.None {
		t.Fatal(code)
	}
	extra.closed()
	eventually(t, "the end of the listener", func() bool {
		nc, err := net.Dial("tcp", addr)
		if err == nil {
			nc.Close()
		}
		return err != nil
	})
	c.alive()
}

// A raised limit lets in who waits for it.
func TestLimitChanges(t *testing.T) {
	r := startBroker(t, map[string]string{"max.connections": "2"}) // one is the controller's own
	c := r.dial()
	c.alive()
	waiting := r.dial()
	req := kmsg.NewPtrApiVersionsRequest()
	id := waiting.send(req)
	waiting.silentFor(50 * time.Millisecond)
	if code := c.alterBroker("max.connections", "3"); code != protocol.None {
		t.Fatal(code)
	}
	waiting.receive(req, id)
}
