package protocol

import "github.com/twmb/franz-go/pkg/kmsg"

// CONTRACT (stub; the owner of protocol fills it in and deletes this line). See kafka-surface.md §1.1–1.4.

// API is one row of the table of requests a ZooKeeper-mode broker of 3.9 serves; the table is also the answer to ApiVersions.
type API struct {
	Key, MinVersion, MaxVersion int16
	FlexibleFrom                int16 // first flexible version, 32767 when none
	Name                        string
}

// RequestHeader is the part before the body. A null client id is "".
type RequestHeader struct {
	Key, Version  int16
	CorrelationID int32
	ClientID      string
}

// APIs returns the 62 rows in key order.
func APIs() []API { panic("stub") }

// LookupAPI finds a row in O(1).
func LookupAPI(key int16) (API, bool) { panic("stub") }

// ParseHeader reads the header of a frame (without its size field); body aliases frame. ClientID is a fresh string unless it
// equals prev.ClientID, which is then reused (no allocation per request on a warm connection). Errors: unknown key, version
// out of range (the connection is to be closed). An ApiVersions request of any version never fails for its version: the header
// is then read as §1.4 says and h.Version is left as sent.
func ParseHeader(frame []byte, prev *RequestHeader) (h RequestHeader, body []byte, err error) {
	panic("stub")
}

// DecodeRequest checks body against the schema of the request (lengths, nullability, tags; bounded number of elements), exactly as
// strict and as lenient as Kafka (§1.11), and only then decodes it with kmsg. The result does not alias body.
func DecodeRequest(h RequestHeader, body []byte) (kmsg.Request, error) { panic("stub") }

// AppendResponse appends a whole response frame (size, header v0/v1, body) to dst.
func AppendResponse(dst []byte, h RequestHeader, resp kmsg.Response) []byte { panic("stub") }
