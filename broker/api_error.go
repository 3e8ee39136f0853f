package broker

import (
	"errors"
	"fmt"

	"github.com/twmb/franz-go/pkg/kmsg"

	"gregor/protocol"
)

// apiError is an answer other than success to one item of a request: its code and the message that goes with it, "" for null.
type apiError struct {
	code    protocol.ErrorCode
	message string
}

func newAPIError(code protocol.ErrorCode, format string, args ...any) *apiError {
	return &apiError{code, fmt.Sprintf(format, args...)}
}

func (e *apiError) Error() string {
	if e.message == "" {
		return e.code.String()
	}
	return e.code.String() + ": " + e.message
}

// Unwrap lets errorCode find the code.
func (e *apiError) Unwrap() error { return e.code }

// codeAndMessage says how err goes over the wire where an item has a place for a message. Only an apiError has one that is meant for the client; the text of
// any other error is ours to log.
func codeAndMessage(err error) (int16, *string) {
	var api *apiError
	if errors.As(err, &api) && api.message != "" {
		return int16(api.code), &api.message
	}
	return int16(errorCode(err)), nil
}

// responseTo makes the response that belongs to a request, in its version and with the defaults of the schema.
func responseTo[R kmsg.Response](request kmsg.Request) R { return request.ResponseKind().(R) }
