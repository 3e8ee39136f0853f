package protocol

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"runtime"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// eachVersion calls fn for every version of every request.
func eachVersion(fn func(rq *request, version int16)) {
	for _, api := range APIs() {
		for v := api.MinVersion; v <= api.MaxVersion; v++ {
			fn(lookupRequest(api.Key), v)
		}
	}
}

// TestDefaultsOfKmsgWalk encodes the default request of every version with kmsg and expects the walker to take all of it.
func TestDefaultsOfKmsgWalk(t *testing.T) {
	eachVersion(func(rq *request, v int16) {
		req := kmsg.RequestForKey(rq.api.Key)
		if req == nil {
			t.Fatalf("kmsg has no %s", rq.api.Name)
		}
		req.SetVersion(v)
		if req.IsFlexible() != rq.api.Flexible(v) {
			t.Errorf("%s v%d: kmsg flexible %v", rq.api.Name, v, req.IsFlexible())
		}
		body := req.AppendTo(nil)
		got, culprit, err := rq.walk(v, body)
		if err != nil {
			t.Errorf("%s v%d: %v (%v)", rq.api.Name, v, err, culprit)
		} else if !bytes.Equal(got, body) {
			t.Errorf("%s v%d: %d of %d bytes", rq.api.Name, v, len(got), len(body))
		}
	})
}

// encode is the body as AppendRequest writes it.
func encode(req kmsg.Request) []byte {
	frame := AppendRequest(nil, 0, "", req)
	_, body, err := ParseHeader(frame[4:], nil)
	if err != nil {
		panic(err)
	}
	return body
}

// generator writes random bodies along the schema, in canonical form.
type generator struct {
	*rand.Rand
	writer
	present bool // the next value is not to be a default: defaults of tags are not written
}

func (g *generator) int8(v int8) { g.out = append(g.out, byte(v)) }

func (g *generator) structure(fields []*field) {
	for _, f := range fields {
		if f.tag < 0 && f.versions.has(g.version) {
			g.field(f)
		}
	}
	if !g.flexible {
		return
	}
	var tagged []*field
	for _, f := range fields {
		if f.tag >= 0 && f.versions.has(g.version) && g.IntN(2) == 0 {
			tagged = append(tagged, f)
		}
	}
	g.uvarint(len(tagged))
	for _, f := range tagged {
		value := generator{Rand: g.Rand, writer: writer{version: g.version, flexible: true}, present: true}
		value.field(f)
		g.uvarint(f.tag)
		g.uvarint(len(value.out))
		g.out = append(g.out, value.out...)
	}
}

func (g *generator) field(f *field) {
	present := g.present
	g.present = false
	null := f.nullable.has(g.version) && g.IntN(3) == 0 && !present
	if f.array {
		if null {
			g.arrayLen(-1)
			return
		}
		n := g.IntN(4)
		if present {
			n++
		}
		g.arrayLen(n)
		for ; n > 0; n-- {
			g.value(f, false)
		}
		return
	}
	if f.kind == typeBool && present {
		g.int8(1)
		return
	}
	g.value(f, null)
}

func (g *generator) value(f *field, null bool) {
	text := strings.Repeat("tøpic", g.IntN(60))
	switch f.kind {
	case typeBool:
		g.int8(int8(g.IntN(2)))
	case typeStruct:
		if f.nullable.has(g.version) && !f.array { // only responses have these
			if null {
				g.int8(-1)
				return
			}
			g.int8(1)
		}
		g.structure(f.fields)
	case typeString:
		g.nullableString(text+"x", !null)
	case typeBytes:
		if null {
			g.bytesLen(-1)
			return
		}
		g.bytesLen(len(text))
		g.out = append(g.out, text...)
	default:
		for range f.kind.wireSize() {
			g.int8(int8(1 + g.IntN(100)))
		}
	}
}

func (g *generator) body(rq *request, version int16) []byte {
	g.writer = writer{version: version, flexible: rq.api.Flexible(version)}
	g.structure(rq.fields)
	return g.out
}

// TestSchemaAndKmsgAgree writes random requests along the schema and has kmsg read and write them: the same bytes have to come out.
func TestSchemaAndKmsgAgree(t *testing.T) {
	g := generator{Rand: rand.New(rand.NewPCG(1, 2))}
	eachVersion(func(rq *request, v int16) {
		for range 12 {
			body := g.body(rq, v)
			canonical, _, err := rq.walk(v, body)
			if err != nil || !bytes.Equal(canonical, body) {
				t.Fatalf("%s v%d: %v\n%x\n%x", rq.api.Name, v, err, body, canonical)
			}
			req, err := DecodeRequest(RequestHeader{Key: rq.api.Key, Version: v}, body)
			if err != nil {
				t.Fatalf("%s v%d: %v\n%x", rq.api.Name, v, err, body)
			}
			if again := encode(req); !bytes.Equal(again, body) {
				t.Fatalf("%s v%d:\n%x\n%x", rq.api.Name, v, body, again)
			}
			for cut := range body[:min(len(body), 200)] {
				if _, _, err := rq.walk(v, body[:cut]); err == nil {
					t.Fatalf("%s v%d: nothing is wrong with %d of %d bytes", rq.api.Name, v, cut, len(body))
				}
			}
		}
	})
}

// TestResponsesOfKmsg does the same for responses, which kmsg only writes here: their schemas are test data.
func TestResponsesOfKmsg(t *testing.T) {
	text, err := os.ReadFile("testdata/responses.schema")
	if err != nil {
		t.Fatal(err)
	}
	responses, err := parseSchemas(string(text))
	if err != nil {
		t.Fatal(err)
	}
	if len(responses) != len(APIs()) {
		t.Errorf("%d responses", len(responses))
	}
	g := generator{Rand: rand.New(rand.NewPCG(9, 10))}
	for _, rs := range responses {
		for v := rs.api.MinVersion; v <= rs.api.MaxVersion; v++ {
			for range 30 {
				body := g.body(rs, v)
				resp := kmsg.ResponseForKey(rs.api.Key)
				resp.SetVersion(v)
				if err := resp.ReadFrom(body); err != nil {
					t.Errorf("%s v%d: %v", rs.api.Name, v, err)
					break
				}
				if again := resp.AppendTo(nil); !bytes.Equal(again, body) {
					t.Errorf("%s v%d:\n%x\n%x", rs.api.Name, v, body, again)
					break
				}
			}
		}
	}
}

// TestDecodedRequestsDoNotAlias overwrites the frame after decoding.
func TestDecodedRequestsDoNotAlias(t *testing.T) {
	g := generator{Rand: rand.New(rand.NewPCG(3, 4))}
	eachVersion(func(rq *request, v int16) {
		body := g.body(rq, v)
		want := bytes.Clone(body)
		req, err := DecodeRequest(RequestHeader{Key: rq.api.Key, Version: v}, body)
		if err != nil {
			t.Fatal(err)
		}
		clear(body)
		if !bytes.Equal(encode(req), want) {
			t.Errorf("%s v%d lives in the frame", rq.api.Name, v)
		}
	})
}

const (
	findCoordinator = 10 // v3: flexible, Key string, KeyType int8
	heartbeat       = 12
	deleteGroups    = 42 // v1: []string; v2: flexible
	metadata        = 3
	updateMetadata  = 6
	joinGroup       = 11
)

// TestOddRequests has the odd forms that Kafka accepts, and the malformed ones that it closes the connection for.
func TestOddRequests(t *testing.T) {
	for _, c := range []struct {
		name    string
		key     int16
		version int16
		body    string
		want    string // of the decoded request re-encoded; "" when err is set
		err     error
	}{
		{"bytes after the body", findCoordinator, 3, "\x02g\x00\x00trailing", "\x02g\x00\x00", nil},
		{"boolean 2", 20 + 6, 0, "\x00\x01t\x00\x00\x00\x00\x00\x00\x00\x01\x00\x01\x02", "\x00\x01t\x00\x00\x00\x00\x00\x00\x00\x01\x00\x01\x01", nil},
		{"unknown tag", findCoordinator, 3, "\x02g\x00\x01\x05\x02zz", "\x02g\x00\x00", nil},
		{"tag twice", findCoordinator, 3, "\x02g\x00\x02\x05\x02zz\x05\x01z", "\x02g\x00\x00", nil},
		{"tags out of order", findCoordinator, 3, "\x02g\x00\x02\x05\x00\x04\x00", "\x02g\x00\x00", nil},
		{"long varint", findCoordinator, 3, "\x82\x80\x80\x80\x00g\x00\x80\x00", "\x02g\x00\x00", nil},
		{"varint with excess bits", findCoordinator, 3, "\x82\x80\x80\x80\x70g\x00\x00", "\x02g\x00\x00", nil},
		{"negative number of tags", findCoordinator, 3, "\x02g\x00\xff\xff\xff\xff\x0f", "\x02g\x00\x00", nil},
		{"string that is not UTF-8", findCoordinator, 0, "\x00\x03a\xe2\x82", "\x00\x04a\xef\xbf\xbd", nil},
		{"array length -2", metadata, 1, "\xff\xff\xff\xfe", "\xff\xff\xff\xff", nil},
		{"compact array length -2", metadata, 12, "\xff\xff\xff\xff\x0f\x01\x00\x00", "\x00\x01\x00\x00", nil},
		{"null string of length -5", heartbeat, 3, "\x00\x00\x00\x00\x00\x00\x00\x00\xff\xfb", "\x00\x00\x00\x00\x00\x00\x00\x00\xff\xff", nil},
		{"compact null string -1", heartbeat, 4, "\x01\x00\x00\x00\x00\x01\xff\xff\xff\xff\x0f\x00", "\x01\x00\x00\x00\x00\x01\x00\x00", nil},

		{"empty", findCoordinator, 3, "", "", errShort},
		{"null for a string", findCoordinator, 0, "\xff\xff", "", errNull},
		{"null for a compact string", findCoordinator, 3, "\x00\x00\x00", "", errNull},
		{"null for an element", deleteGroups, 1, "\x00\x00\x00\x01\xff\xff", "", errNull},
		{"null for an array", deleteGroups, 1, "\xff\xff\xff\xff", "", errNull},
		{"null for bytes", joinGroup, 0, "\x00\x01g\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x01\x00\x01p\xff\xff\xff\xff", "", errNull},
		{"string beyond the end", findCoordinator, 0, "\x00\x05abcd", "", errShort},
		{"compact string over 32767", findCoordinator, 3, "\x81\x80\x02" + strings.Repeat("a", 32768) + "\x00\x00", "", errStringSize},
		{"array beyond the end", deleteGroups, 1, "\x00\x00\x00\x05abcd", "", errShort},
		{"endless varint", findCoordinator, 3, "\x82\x80\x80\x80\x80\x00g\x00\x00", "", errVarint},
		{"tag beyond the end", findCoordinator, 3, "\x02g\x00\x01\x05\x02z", "", errShort},
		{"tag of negative size", findCoordinator, 3, "\x02g\x00\x01\x05\xff\xff\xff\xff\x0f", "", errShort},
		{"too few tags", findCoordinator, 3, "\x02g\x00\x02\x05\x00", "", errShort},
	} {
		h := RequestHeader{Key: c.key, Version: c.version}
		req, err := DecodeRequest(h, []byte(c.body))
		if c.err != nil {
			if !errors.Is(err, c.err) || !errors.Is(err, ErrMalformed) {
				t.Errorf("%s: error %v", c.name, err)
			}
			continue
		}
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
		} else if got := string(encode(req)); got != c.want {
			t.Errorf("%s: %q", c.name, got)
		}
	}
}

// TestKnownTags has the tag of UpdateMetadata v8 (Type) in forms that Kafka reads.
func TestKnownTags(t *testing.T) {
	// ControllerId, IsKRaftController, ControllerEpoch, BrokerEpoch, TopicStates, LiveBrokers
	const fixed = "\x00\x00\x00\x01" + "\x00" + "\x00\x00\x00\x01" + "\x00\x00\x00\x00\x00\x00\x00\x01" + "\x01" + "\x01"
	const canonical = fixed + "\x01\x00\x01\x02"
	for name, tags := range map[string]string{
		"as it should be":    "\x01\x00\x01\x02",
		"twice":              "\x02\x00\x01\x07\x00\x01\x02",
		"among unknown tags": "\x03\x09\x00\x00\x01\x02\x08\x01z",
		"with a wrong size":  "\x01\x00\x00\x02",
	} {
		req, err := DecodeRequest(RequestHeader{Key: updateMetadata, Version: 8}, []byte(fixed+tags))
		if err != nil {
			t.Errorf("%s: %v", name, err)
		} else if got := string(encode(req)); got != canonical {
			t.Errorf("%s: %q", name, got)
		}
	}
	v7 := strings.Replace(fixed, "\x01\x00\x00\x00\x00\x01", "\x01\x00\x00\x00\x01", 1) + "\x01\x00\x01\x02"
	if _, err := DecodeRequest(RequestHeader{Key: updateMetadata, Version: 7}, []byte(v7)); !errors.Is(err, errUnknownTag) {
		t.Errorf("a tag of version 8 in version 7: %v", err)
	}
}

// TestMemoryIsBounded decodes the frames that grow most when they are decoded.
func TestMemoryIsBounded(t *testing.T) {
	const frame = 16 << 20
	array := func(n int, element string) []byte {
		b := binary.BigEndian.AppendUint32(nil, uint32(n))
		return append(b, bytes.Repeat([]byte(element), n)...)
	}
	tags := append([]byte("\x02g\x00"), binary.AppendUvarint(nil, frame/2)...)
	for i := range frame / 4 {
		tags = append(tags, byte(i)|0x80, byte(i>>7)|0x80, byte(i>>14)&0x7f, 0)
	}
	for _, c := range []struct {
		name    string
		key     int16
		version int16
		body    []byte
		want    error
	}{
		{"empty topic names", metadata, 0, array(frame/2, "\x00\x00"), errTooManyData},
		{"empty group names", deleteGroups, 0, array(frame/2, "\x00\x00"), nil},
		{"names of one letter", deleteGroups, 0, array(frame/3, "\x00\x01a"), nil},
		{"empty topics", 2, 1, append([]byte{0, 0, 0, 0}, array(frame/6, "\x00\x00\x00\x00\x00\x00")...), nil},
		{"tags", findCoordinator, 3, tags, errShort},
	} {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		_, err := DecodeRequest(RequestHeader{Key: c.key, Version: c.version}, c.body)
		runtime.ReadMemStats(&after)
		if !errors.Is(err, c.want) {
			t.Errorf("%s: %v", c.name, err)
		}
		// kmsg makes its slices twice when the race detector keeps the compiler from seeing through it.
		if took := after.TotalAlloc - before.TotalAlloc; took > 2*maxDecodedBytes {
			t.Errorf("%s: %d MiB for %d MiB, %v", c.name, took>>20, len(c.body)>>20, err)
		}
	}
}

func TestWalkAllocatesNothing(t *testing.T) {
	g := generator{Rand: rand.New(rand.NewPCG(5, 6))}
	eachVersion(func(rq *request, v int16) {
		body := g.body(rq, v)
		if n := testing.AllocsPerRun(10, func() { rq.walk(v, body) }); n != 0 {
			t.Errorf("%s v%d: %v allocations", rq.api.Name, v, n)
		}
	})
}

func TestErrorsNameTheField(t *testing.T) {
	_, err := DecodeRequest(RequestHeader{Key: findCoordinator, Version: 0}, []byte("\xff\xff"))
	if err == nil || !strings.Contains(err.Error(), "FindCoordinator version 0: Key: null") {
		t.Errorf("error %v", err)
	}
}

func TestSchemaTextErrors(t *testing.T) {
	for _, text := range []string{
		"x Name 0-1 none", "1 Name 0-1", "1 Name a-1 none", "1 Name 0-b none", "1 Name 0-1 x",
		"1 N 0 none\n  F nothing", "1 N 0 none\n  F", "1 N 0 none\n    F int8", "1 N 0 none\n  F int8 null:x", "1 N 0 none\n  F int8 tag:x",
	} {
		if _, err := parseSchemas(text); err == nil || !strings.Contains(err.Error(), "line ") {
			t.Errorf("%q: %v", text, err)
		}
	}
}

func FuzzDecodeRequest(f *testing.F) {
	g := generator{Rand: rand.New(rand.NewPCG(7, 8))}
	eachVersion(func(rq *request, v int16) { f.Add(rq.api.Key, v, g.body(rq, v)) })
	f.Add(int16(findCoordinator), int16(3), []byte("\x82\x80\x80\x80\x70g\x00\x02\x05\x02zz\x05\x01z"))
	f.Add(int16(updateMetadata), int16(8), []byte("\x00\x00\x00\x01\x00\x00\x00\x00\x01\x00\x00\x00\x00\x00\x00\x00\x01\x01\x01\x02\x00\x00\x07\x00\x01\x02"))
	f.Fuzz(func(t *testing.T, key, version int16, body []byte) {
		req, err := DecodeRequest(RequestHeader{Key: key, Version: version}, body)
		if err != nil {
			if !errors.Is(err, ErrMalformed) && !errors.Is(err, ErrUnsupported) {
				t.Fatalf("no kind of error: %v", err)
			}
			if strings.Contains(fmt.Sprint(err), "invalid") {
				t.Fatalf("kmsg refuses what the schema allows: %v", err)
			}
			return
		}
		// What was decoded is canonical when encoded, and means the same.
		again := encode(req)
		canonical, culprit, err := lookupRequest(key).walk(version, again)
		if err != nil {
			t.Fatalf("encoded again: %v (%v)", err, culprit)
		}
		if !bytes.Equal(canonical, again) {
			t.Fatalf("encoded again it is not canonical:\n%x\n%x", again, canonical)
		}
	})
}
