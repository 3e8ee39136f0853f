package broker

import (
	"errors"

	"gregor/protocol"
	"gregor/protocol/record"
	"gregor/storage"
)

// errorCode is the one place where a Go error becomes a code on the wire.
func errorCode(err error) protocol.ErrorCode {
	if err == nil {
		return protocol.None
	}
	var code protocol.ErrorCode
	if errors.As(err, &code) {
		return code
	}
	var invalid *record.ValidationError
	switch {
	case errors.As(err, &invalid):
		return invalid.Code
	case errors.Is(err, storage.ErrStorage):
		return protocol.KafkaStorageError
	}
	return protocol.UnknownServerError
}
