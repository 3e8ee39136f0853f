package protocol

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kmsg"
)

func TestErrorNames(t *testing.T) {
	for code, name := range map[ErrorCode]string{
		UnknownServerError: "UNKNOWN_SERVER_ERROR", None: "NONE", OffsetOutOfRange: "OFFSET_OUT_OF_RANGE",
		InvalidTopicException: "INVALID_TOPIC_EXCEPTION", UnsupportedVersion: "UNSUPPORTED_VERSION", NotController: "NOT_CONTROLLER",
		TransactionalIDAuthorizationError: "TRANSACTIONAL_ID_AUTHORIZATION_FAILED", KafkaStorageError: "KAFKA_STORAGE_ERROR",
		DelegationTokenAuthorizationError: "DELEGATION_TOKEN_AUTHORIZATION_FAILED", FetchSessionIDNotFound: "FETCH_SESSION_ID_NOT_FOUND",
		InvalidRecord: "INVALID_RECORD", UnknownTopicID: "UNKNOWN_TOPIC_ID", TransactionAbortable: "TRANSACTION_ABORTABLE",
		VoterNotFound: "VOTER_NOT_FOUND", -2: "-2", 128: "128",
	} {
		if got := code.String(); got != name {
			t.Errorf("%d is %s, not %s", int16(code), got, name)
		}
	}
	seen := map[string]bool{}
	for c := UnknownServerError; c <= VoterNotFound; c++ {
		name := c.Error()
		if seen[name] || strings.ToUpper(name) != name {
			t.Errorf("name %q of %d", name, int16(c))
		}
		seen[name] = true
		if (c.Message() == "") != (c == None) || strings.Contains(c.Message(), "\n") {
			t.Errorf("message of %s: %q", name, c.Message())
		}
	}
}

func TestAPITable(t *testing.T) {
	rows := APIs()
	if len(rows) != 62 {
		t.Fatalf("%d rows", len(rows))
	}
	for i, r := range rows {
		if i > 0 && rows[i-1].Key >= r.Key {
			t.Errorf("%s is out of order", r.Name)
		}
		if got, ok := LookupAPI(r.Key); !ok || got != r {
			t.Errorf("lookup of %s: %v", r.Name, got)
		}
	}
	for _, r := range []API{
		{0, 0, 11, 9, "Produce"}, {1, 0, 17, 12, "Fetch"}, {17, 0, 1, 32767, "SaslHandshake"}, {18, 0, 4, 3, "ApiVersions"},
		{47, 0, 0, 32767, "OffsetDelete"}, {56, 0, 3, 0, "AlterPartition"}, {69, 0, 0, 0, "ConsumerGroupDescribe"},
	} {
		if got, _ := LookupAPI(r.Key); got != r {
			t.Errorf("%+v", got)
		}
	}
	for _, key := range []int16{-1, 52, 55, 59, 64, 70, 71, 75, 32767, -32768} {
		if got, ok := LookupAPI(key); ok {
			t.Errorf("key %d is %+v", key, got)
		}
	}
}

func TestParseHeader(t *testing.T) {
	for _, c := range []struct {
		name, frame string
		want        RequestHeader
		body        string
		err         error
	}{
		{"v1", "\x00\x03\x00\x01\x00\x00\x00\x05\x00\x02meBODY", RequestHeader{3, 1, 5, "me"}, "BODY", nil},
		{"v1, null client id", "\x00\x03\x00\x01\x00\x00\x00\x05\xff\xffBODY", RequestHeader{3, 1, 5, ""}, "BODY", nil},
		{"v1, client id of length -7", "\x00\x03\x00\x01\x00\x00\x00\x05\xff\xf9BODY", RequestHeader{3, 1, 5, ""}, "BODY", nil},
		{"v2", "\x00\x03\x00\x09\x00\x00\x00\x05\x00\x02me\x00BODY", RequestHeader{3, 9, 5, "me"}, "BODY", nil},
		{"v2 with tags", "\x00\x03\x00\x09\x00\x00\x00\x05\x00\x02me\x01\x07\x01zBODY", RequestHeader{3, 9, 5, "me"}, "BODY", nil},
		{"v0", "\x00\x07\x00\x00\x00\x00\x00\x05BODY", RequestHeader{7, 0, 5, ""}, "BODY", nil},
		{"client id that is not UTF-8", "\x00\x03\x00\x01\x00\x00\x00\x05\x00\x02\xff\xfe", RequestHeader{3, 1, 5, "\ufffd\ufffd"}, "", nil},
		{"ApiVersions of the future", "\x00\x12\x00\x63\x00\x00\x00\x05\x00\x02me\x00BODY", RequestHeader{18, 99, 5, "me"}, "BODY", nil},
		{"ApiVersions of the past", "\x00\x12\xff\xff\x00\x00\x00\x05\x00\x02meBODY", RequestHeader{18, -1, 5, "me"}, "BODY", nil},

		{"ApiVersions of the future with a header v1", "\x00\x12\x00\x63\x00\x00\x00\x05\x00\x02me", RequestHeader{}, "", ErrMalformed},
		{"empty", "", RequestHeader{}, "", ErrMalformed},
		{"seven bytes", "\x00\x03\x00\x01\x00\x00\x00", RequestHeader{}, "", ErrMalformed},
		{"no client id", "\x00\x03\x00\x01\x00\x00\x00\x05", RequestHeader{}, "", ErrMalformed},
		{"client id beyond the end", "\x00\x03\x00\x01\x00\x00\x00\x05\x00\x05me", RequestHeader{}, "", ErrMalformed},
		{"no tags", "\x00\x03\x00\x09\x00\x00\x00\x05\x00\x02me", RequestHeader{}, "", ErrMalformed},
		{"endless tags", "\x00\x03\x00\x09\x00\x00\x00\x05\x00\x02me\x80\x80\x80\x80\x80\x00", RequestHeader{}, "", ErrMalformed},
		{"unknown key", "\x00\x34\x00\x00\x00\x00\x00\x05\x00\x02me", RequestHeader{}, "", ErrUnsupported},
		{"negative key", "\xff\xff\x00\x00\x00\x00\x00\x05\x00\x02me", RequestHeader{}, "", ErrUnsupported},
		{"version too high", "\x00\x03\x00\x0d\x00\x00\x00\x05\x00\x02me", RequestHeader{}, "", ErrUnsupported},
		{"negative version", "\x00\x03\xff\xff\x00\x00\x00\x05\x00\x02me", RequestHeader{}, "", ErrUnsupported},
	} {
		h, body, err := ParseHeader([]byte(c.frame), nil)
		if c.err != nil {
			if !errors.Is(err, c.err) {
				t.Errorf("%s: error %v", c.name, err)
			}
		} else if err != nil || h != c.want || string(body) != c.body {
			t.Errorf("%s: %+v, body %q, %v", c.name, h, body, err)
		}
	}
}

func TestWarmHeaderAllocatesNothing(t *testing.T) {
	frame := []byte("\x00\x03\x00\x09\x00\x00\x00\x05\x00\x02me\x00BODY")
	prev, _, _ := ParseHeader(frame, nil)
	if n := testing.AllocsPerRun(100, func() { prev, _, _ = ParseHeader(frame, &prev) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func TestResponseHeaders(t *testing.T) {
	for _, c := range []struct {
		name string
		resp kmsg.Response
		v    int16
		want string
	}{
		{"v0", kmsg.NewPtrHeartbeatResponse(), 3, "\x00\x00\x00\x0a\x00\x00\x00\x05\x00\x00\x00\x00\x00\x00"},
		{"v1", kmsg.NewPtrHeartbeatResponse(), 4, "\x00\x00\x00\x0c\x00\x00\x00\x05\x00\x00\x00\x00\x00\x00\x00\x00"},
		{"ApiVersions v0", kmsg.NewPtrApiVersionsResponse(), 0, "\x00\x00\x00\x0a\x00\x00\x00\x05\x00\x00\x00\x00\x00\x00"},
		{"ApiVersions v3", kmsg.NewPtrApiVersionsResponse(), 3, "\x00\x00\x00\x0c\x00\x00\x00\x05\x00\x00\x01\x00\x00\x00\x00\x00"},
	} {
		c.resp.SetVersion(c.v)
		h := RequestHeader{Key: c.resp.Key(), Version: c.v, CorrelationID: 5}
		if got := AppendResponse([]byte("before"), h, c.resp); string(got) != "before"+c.want {
			t.Errorf("%s: %q", c.name, got)
		}
	}
}

// TestRequestAndResponseRoundTrip sends every version of every API through both ends.
func TestRequestAndResponseRoundTrip(t *testing.T) {
	eachVersion(func(rq *request, v int16) {
		req := kmsg.RequestForKey(rq.api.Key)
		req.SetVersion(v)
		frame := AppendRequest(nil, 77, "id", req)
		h, body, err := ParseHeader(frame[4:], nil)
		if err != nil {
			t.Fatal(err)
		}
		if h.Key != rq.api.Key || h.Version != v || h.CorrelationID != 77 {
			t.Errorf("%s v%d: %+v", rq.api.Name, v, h)
		}
		if _, err := DecodeRequest(h, body); err != nil {
			t.Error(err)
		}
		resp := req.ResponseKind()
		resp.SetVersion(v)
		answer := AppendResponse(nil, h, resp)[4:]
		got, err := DecodeResponse(answer, 77, req)
		if err != nil {
			t.Errorf("%s v%d: %v", rq.api.Name, v, err)
		} else if !bytes.Equal(got.AppendTo(nil), resp.AppendTo(nil)) {
			t.Errorf("%s v%d: another response", rq.api.Name, v)
		}
		if _, err := DecodeResponse(answer, 78, req); err == nil {
			t.Errorf("%s v%d: a foreign correlation id", rq.api.Name, v)
		}
	})
}

// TestStopReplicaV4 has the bytes of Kafka, whose order of two fields differs from that of kmsg.
func TestStopReplicaV4(t *testing.T) {
	req := kmsg.NewPtrStopReplicaRequest()
	req.Version, req.ControllerID, req.IsKRaftController, req.ControllerEpoch, req.BrokerEpoch = 4, 1, true, 0x02030405, 6
	const want = "\x00\x00\x00\x01" + "\x01" + "\x02\x03\x04\x05" + "\x00\x00\x00\x00\x00\x00\x00\x06" + "\x01" + "\x00"
	body := encode(req)
	if string(body) != want {
		t.Fatalf("%q", body)
	}
	got, err := DecodeRequest(RequestHeader{Key: 5, Version: 4}, body)
	if err != nil {
		t.Fatal(err)
	}
	if s := got.(*kmsg.StopReplicaRequest); !s.IsKRaftController || s.ControllerEpoch != 0x02030405 || string(body) != want {
		t.Errorf("%+v", s)
	}
}

func TestJavaUTF8(t *testing.T) {
	for in, want := range map[string]string{
		"plain": "plain", "grün": "grün", "\xff": "\ufffd", "\xc0\x80": "\ufffd\ufffd", "a\xc3": "a\ufffd", "\xc3(": "\ufffd(",
		"\xe2\x82": "\ufffd", "\xe2\x82a": "\ufffda", "\xe2(\xa1": "\ufffd(\ufffd", "\xe0\x80\x80": "\ufffd\ufffd\ufffd",
		"\xed\xa0\x80": "\ufffd", "\xf0\x9f\x98": "\ufffd", "\xf0\x9f\x98a": "\ufffda", "\xf0\x9fa": "\ufffda",
		"\xf0\x80\x80\x80": "\ufffd\ufffd\ufffd\ufffd", "\xf4\x90\x80\x80": "\ufffd\ufffd\ufffd\ufffd", "\xf5\x80": "\ufffd\ufffd", "\xf0\x9f\x98\x80": "😀",
	} {
		if got := string(appendJavaUTF8(nil, []byte(in))); got != want {
			t.Errorf("%q becomes %q, not %q", in, got, want)
		}
	}
}

func FuzzParseHeader(f *testing.F) {
	for _, s := range []string{
		"", "\x00\x03\x00\x01\x00\x00\x00\x05\x00\x02me", "\x00\x03\x00\x09\x00\x00\x00\x05\x00\x02me\x01\x07\x01z",
		"\x00\x07\x00\x00\x00\x00\x00\x05", "\x00\x12\x00\x63\x00\x00\x00\x05\xff\xff\x00", "\xff\xff\x00\x00\x00\x00\x00\x05",
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, frame []byte) {
		h, body, err := ParseHeader(frame, &RequestHeader{ClientID: "me"})
		if err != nil {
			if !errors.Is(err, ErrMalformed) && !errors.Is(err, ErrUnsupported) {
				t.Fatal(err)
			}
			return
		}
		if !bytes.HasSuffix(frame, body) {
			t.Fatal("the body is no tail of the frame")
		}
		if _, ok := LookupAPI(h.Key); !ok {
			t.Fatal("a key that is not in the table")
		}
	})
}
