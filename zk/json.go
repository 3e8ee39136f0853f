package zk

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
)

// maxZnode bounds what a decoder looks at; a ZooKeeper server refuses larger znodes by default (jute.maxbuffer, 1 MiB).
const maxZnode = 1 << 20

// errNoData is what a decoder says of a znode that exists with null data.
var errNoData = errors.New("the znode holds no data")

// decodeJSON decodes the JSON of a znode into v. Unknown fields are ignored.
func decodeJSON(path string, data []byte, v any) error {
	switch {
	case len(data) == 0:
		return fmt.Errorf("%s: %w", path, errNoData)
	case len(data) > maxZnode:
		return fmt.Errorf("%s: %d bytes are more than a znode may hold (%d)", path, len(data), maxZnode)
	}
	if err := json.Unmarshal(data, v); err != nil {
		return fmt.Errorf("%s is not the JSON expected there: %w", path, err)
	}
	return nil
}

// encodeJSON writes v without whitespace and without HTML escapes, as Jackson does. v is one of this package's structs,
// so that it cannot fail.
func encodeJSON(v any) []byte {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		panic(fmt.Sprintf("Invariant: %T encodes as JSON: %v", v, err))
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n"))
}

// decimal is an int64 that Kafka writes as a JSON string; a bare number is read as well.
type decimal int64

func (d decimal) MarshalJSON() ([]byte, error) {
	return strconv.AppendQuote(nil, strconv.FormatInt(int64(d), 10)), nil
}

func (d *decimal) UnmarshalJSON(b []byte) error {
	n, err := strconv.ParseInt(string(bytes.Trim(b, `"`)), 10, 64)
	if err != nil {
		return fmt.Errorf("%.40q is not a decimal number", b)
	}
	*d = decimal(n)
	return nil
}
