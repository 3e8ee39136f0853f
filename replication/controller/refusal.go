package controller

import "gregor/protocol"

// refusal is an error code with the message for the client.
type refusal struct {
	code    protocol.ErrorCode
	message string
}

func (r *refusal) Error() string { return r.message + ": " + r.code.String() }
func (r *refusal) Unwrap() error { return r.code }

// notController is the message that goes with NOT_CONTROLLER.
const notController = "This is not the correct controller for this cluster."
