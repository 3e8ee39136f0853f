package protocol

import (
	"bytes"
	"encoding/binary"
	"fmt"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// DecodeRequest checks body against the schema of the request (lengths, nullability, tags; bounded memory), as strict and as lenient
// as Kafka, and only then decodes it with kmsg. The result does not alias body. Errors wrap ErrMalformed, or ErrUnsupported when h has
// a key or version that is not in the table; an ApiVersions request of such a version has a body that cannot be read (KIP-511).
func DecodeRequest(h RequestHeader, body []byte) (kmsg.Request, error) {
	rq := lookupRequest(h.Key)
	if rq == nil {
		return nil, fmt.Errorf("%w: api key %d", ErrUnsupported, h.Key)
	}
	if h.Version < rq.api.MinVersion || h.Version > rq.api.MaxVersion {
		return nil, fmt.Errorf("%w: %s version %d", ErrUnsupported, rq.api.Name, h.Version)
	}
	canonical, culprit, err := rq.walk(h.Version, body)
	if err != nil {
		return nil, malformed(rq, h.Version, culprit, err)
	}
	if rq.aliased {
		// kmsg copies strings but aliases bytes and tags it does not know.
		canonical = bytes.Clone(canonical)
	}
	canonical = swapStopReplica(h.Key, h.Version, canonical, toKmsg)
	req := kmsg.RequestForKey(h.Key)
	req.SetVersion(h.Version)
	if err := req.ReadFrom(canonical); err != nil {
		return nil, malformed(rq, h.Version, nil, err)
	}
	return req, nil
}

func malformed(rq *request, version int16, culprit *field, err error) error {
	if culprit == nil {
		return fmt.Errorf("%w: %s version %d: %w", ErrMalformed, rq.api.Name, version, err)
	}
	return fmt.Errorf("%w: %s version %d: %s: %w", ErrMalformed, rq.api.Name, version, culprit.name, err)
}

// AppendResponse appends a whole response frame (size, header v0/v1, body) to dst. The response must have the version of the request,
// except the answer to an ApiVersions request of an unknown version, which has version 0.
func AppendResponse(dst []byte, h RequestHeader, resp kmsg.Response) []byte {
	start := len(dst)
	dst = appendFrameHeader(dst, h.CorrelationID, responseHeaderFlexible(h.Key, resp.GetVersion()))
	dst = resp.AppendTo(dst)
	patchFrameSize(dst[start:], 0)
	return dst
}

// appendFrameHeader begins a response frame; its size is patched when it is known.
func appendFrameHeader(dst []byte, correlationID int32, flexible bool) []byte {
	dst = append(dst, 0, 0, 0, 0)
	dst = binary.BigEndian.AppendUint32(dst, uint32(correlationID))
	if flexible {
		dst = append(dst, 0) // no tags
	}
	return dst
}

// patchFrameSize writes the size in front of a frame whose bytes are frame and more that are not in it.
func patchFrameSize(frame []byte, more int) {
	binary.BigEndian.PutUint32(frame, uint32(len(frame)-4+more))
}

// AppendRequest appends a whole request frame (size, header v0 to v2, body) to dst, in the version the request carries. An empty client id
// goes out as such and not as null.
func AppendRequest(dst []byte, correlationID int32, clientID string, req kmsg.Request) []byte {
	start := len(dst)
	w := writer{out: append(dst, 0, 0, 0, 0)}
	w.int16(req.Key())
	w.int16(req.GetVersion())
	w.int32(correlationID)
	if req.Key() != keyControlledShutdown || req.GetVersion() != 0 {
		w.string(clientID)
	}
	w.flexible = req.IsFlexible()
	w.noTags()
	body := len(w.out)
	w.out = req.AppendTo(w.out)
	swapStopReplica(req.Key(), req.GetVersion(), w.out[body:], fromKmsg)
	patchFrameSize(w.out[start:], 0)
	return w.out
}

// DecodeResponse reads the response frame (without its size field) that answers req. The result aliases frame where it holds bytes.
func DecodeResponse(frame []byte, correlationID int32, req kmsg.Request) (kmsg.Response, error) {
	r := reader{buf: frame}
	id := r.int32()
	r.flexible = responseHeaderFlexible(req.Key(), req.GetVersion())
	r.skipTags()
	if r.err != nil {
		return nil, fmt.Errorf("response header: %w", r.err)
	}
	if id != correlationID {
		return nil, fmt.Errorf("response with correlation id %d where %d is due", id, correlationID)
	}
	resp := req.ResponseKind()
	resp.SetVersion(req.GetVersion())
	if err := resp.ReadFrom(frame[r.off:]); err != nil {
		return nil, fmt.Errorf("response body: %w", err)
	}
	return resp, nil
}

// Directions of swapStopReplica.
const (
	toKmsg   = true
	fromKmsg = false
)

// swapStopReplica moves isKRaftController of a StopReplica body of version 4, which Kafka has before the controller epoch and kmsg v1.15 after
// it. Towards kmsg it does so in a copy, away from it in place.
func swapStopReplica(key, version int16, body []byte, towards bool) []byte {
	const flag, epoch, end = 4, 5, 9 // in Kafka's order, behind the controller id
	if key != keyStopReplica || version != 4 || len(body) < end {
		return body
	}
	if towards {
		body = bytes.Clone(body)
		isKRaft := body[flag]
		copy(body[flag:], body[epoch:end])
		body[end-1] = isKRaft
		return body
	}
	isKRaft := body[end-1]
	copy(body[epoch:end], body[flag:end-1])
	body[flag] = isKRaft
	return body
}
