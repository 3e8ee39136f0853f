package protocol

import (
	"errors"
	"fmt"
	"unicode/utf8"
)

// RequestHeader is the part before the body. A null client id is "".
type RequestHeader struct {
	Key, Version  int16
	CorrelationID int32
	ClientID      string
}

// ErrMalformed is wrapped by every error about bytes that are not a request; the connection is to be closed, as nothing
// can be answered.
var ErrMalformed = errors.New("malformed request")

// ErrUnsupported is wrapped when ParseHeader meets an unknown key or a version that is not served; the connection is to be
// closed without an answer, as Kafka does.
var ErrUnsupported = errors.New("unsupported request")

// ParseHeader reads the header of a frame (without its size field); body aliases frame. ClientID is a fresh string unless it
// equals prev.ClientID, which is then reused (no allocation per request on a warm connection); prev may be nil. Errors wrap
// ErrUnsupported or ErrMalformed, and the connection is to be closed.
//
// An ApiVersions request never fails for its version (KIP-511): a version above the last is read with a header v2, a negative
// one with a header v1, h.Version is left as sent, and the answer has to be that of version 0.
func ParseHeader(frame []byte, prev *RequestHeader) (h RequestHeader, body []byte, err error) {
	r := reader{buf: frame}
	h.Key, h.Version = r.int16(), r.int16()
	h.CorrelationID = r.int32()
	if r.err != nil {
		return h, nil, fmt.Errorf("%w: header: %w", ErrMalformed, r.err)
	}
	rq := lookupRequest(h.Key)
	if rq == nil {
		return h, nil, fmt.Errorf("%w: api key %d", ErrUnsupported, h.Key)
	}
	if (h.Version < rq.api.MinVersion || h.Version > rq.api.MaxVersion) && h.Key != keyApiVersions {
		return h, nil, fmt.Errorf("%w: %s version %d", ErrUnsupported, rq.api.Name, h.Version)
	}
	if h.Key == keyControlledShutdown && h.Version == 0 {
		return h, frame[r.off:], nil // header v0 ends here
	}
	// Header v2 keeps the old form of the client id and adds a tag section.
	var id []byte
	if n := int(r.int16()); n > 0 {
		id = r.span(n)
	}
	r.flexible = rq.api.Flexible(h.Version)
	r.skipTags()
	if r.err != nil {
		return h, nil, fmt.Errorf("%w: header of %s: %w", ErrMalformed, rq.api.Name, r.err)
	}
	switch {
	case prev != nil && prev.ClientID == string(id):
		h.ClientID = prev.ClientID
	case utf8.Valid(id):
		h.ClientID = string(id)
	default:
		h.ClientID = string(appendJavaUTF8(nil, id))
	}
	return h, frame[r.off:], nil
}

// responseHeaderFlexible reports whether a response has a header v1, that is one with a tag section. ApiVersions never has,
// so that a client of any age can read it (KIP-511).
func responseHeaderFlexible(key, version int16) bool {
	api, ok := LookupAPI(key)
	return ok && key != keyApiVersions && api.Flexible(version)
}
