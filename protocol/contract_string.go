package protocol

// String is Kafka's name, such as OFFSET_OUT_OF_RANGE. CONTRACT stub: the owner moves it next to the codes.
func (c ErrorCode) String() string { panic("stub") }

// Error makes the code usable as a Go error; it is the name.
func (c ErrorCode) Error() string { return c.String() }
