package broker

import (
	"encoding/binary"
	"fmt"
	"runtime"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kmsg"

	"gregor/protocol"
)

// conversation sends requests, each behind the other with one write or each when the one before is answered, and describes the answers. Topics of the second manner have other names.
func conversation(c *client, reqs []kmsg.Request, together bool) []string {
	c.t.Helper()
	var bytes []byte
	for i, req := range reqs {
		bytes = protocol.AppendRequest(bytes, int32(i+1), "test", req)
	}
	if together {
		if _, err := c.Write(bytes); err != nil {
			c.t.Fatal(err)
		}
	}
	var answers []string
	for i, req := range reqs {
		if !together {
			if _, err := c.Write(protocol.AppendRequest(nil, int32(i+1), "test", req)); err != nil {
				c.t.Fatal(err)
			}
		}
		resp := c.receive(req, int32(i+1))
		produced, ok := resp.(*kmsg.ProduceResponse)
		if !ok {
			answers = append(answers, fmt.Sprintf("%T", resp))
			continue
		}
		for _, rt := range produced.Topics {
			for _, p := range rt.Partitions {
				answers = append(answers, fmt.Sprintf("%s-%d: %v at %d", strings.TrimRight(rt.Topic, "0123456789"), p.Partition, protocol.ErrorCode(p.ErrorCode), p.BaseOffset))
			}
		}
	}
	return answers
}

// Requests that come together are answered as if each had come alone, and leave the same records: with errors between them, several partitions, and acks that change.
func TestProduceRunIsRequestsOneByOne(t *testing.T) {
	r := startBroker(t, nil)
	var described [2]string
	for i, together := range []bool{false, true} {
		topic := fmt.Sprint("t", i)
		r.createTopic(topic, 2)
		broken := values("broken")
		broken[len(broken)-1]++
		both := produceTo(topic, 0, 1, values("e"))
		both.Topics[0].Partitions = append(both.Topics[0].Partitions, produceTo(topic, 1, 1, values("f", "g")).Topics[0].Partitions...)
		v3 := produceTo(topic, 1, 1, values("v3"))
		v3.Version = 3
		reqs := []kmsg.Request{
			produceTo(topic, 0, 1, values("a")), produceTo(topic, 0, 1, values("b", "c")), produceTo(topic, 0, -1, values("d")), produceTo(topic, 0, 1, broken), both,
			v3, produceTo(topic, 1, 2, values("refused")), produceTo(topic, 7, 1, values("nowhere")), produceTo(topic, 0, 1, values("h")), kmsg.NewPtrApiVersionsRequest(),
			produceTo(topic, 0, -1, values("i")), produceTo(topic, 0, -1, []byte("garbage")), produceTo(topic, 1, -1, values("j")),
		}
		for j := range 2 * maxRun {
			reqs = append(reqs, produceTo(topic, 0, 1, values(fmt.Sprint(j))))
		}
		c := r.dial()
		answers := conversation(c, reqs, together)
		resp := ask[*kmsg.FetchResponse](c, fetchPartitions(topic, 2))
		for _, p := range resp.Topics[0].Partitions {
			answers = append(answers, strings.Join(recordValues(t, p.RecordBatches), " "))
		}
		described[i] = strings.Join(answers, "\n")
	}
	if described[0] != described[1] {
		t.Errorf("one by one:\n%s\ntogether:\n%s", described[0], described[1])
	}
	if !strings.Contains(described[0], "0:a 1:b 2:c 3:d 4:e 5:h 6:i 7:0 8:1") {
		t.Errorf("unexpected: %s", described[0])
	}
}

// Nothing is appended of what comes behind a request that closes the connection, however close it comes; what came before is answered.
func TestProduceRunEnds(t *testing.T) {
	r := startBroker(t, nil)
	malformed := protocol.AppendRequest(nil, 2, "test", produceTo("t", 0, 1, values("malformed")))
	malformed = malformed[:len(malformed)-4]
	binary.BigEndian.PutUint32(malformed, uint32(len(malformed)-4))
	for topic, second := range map[string][]byte{
		"acks0":     protocol.AppendRequest(nil, 2, "test", produceTo("acks0", 0, 0, []byte("garbage"))),
		"malformed": malformed,
		"version":   append([]byte{0, 0, 0, 8, 0, 0, 0, 99}, 0, 0, 0, 2),
	} {
		r.createTopic(topic, 1)
		c := r.dial()
		first := produceTo(topic, 0, 1, values("x"))
		bytes := append(protocol.AppendRequest(nil, 1, "test", first), second...)
		if _, err := c.Write(protocol.AppendRequest(bytes, 3, "test", produceTo(topic, 0, 1, values("y")))); err != nil {
			t.Fatal(err)
		}
		c.receive(first, 1)
		c.closed()
		if got := r.dial().produced(topic, 0, "z"); got != 1 {
			t.Errorf("%s: %d batches were appended before, want 1", topic, got)
		}
	}
}

// Requests for one partition that lie in the buffer together cost one write to the log and one to the socket.
func TestProduceRunSystemCalls(t *testing.T) {
	b := hotBroker(t)
	c := hotConn(t, b)
	one := produceFrame(1, 15, 100)
	serve := func() {
		serveAll(t, c, one, one, one, one, one)
		if err := c.out.flush(); err != nil {
			t.Fatal(err)
		}
	}
	serve() // makes the segment's files
	serve()
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	before := threadIO(t)["syscw:"]
	serve()
	if got := threadIO(t)["syscw:"] - before; got != 2 {
		t.Errorf("five produce requests for one partition cost %d writes, want one to the log and one to the socket", got)
	}
}
