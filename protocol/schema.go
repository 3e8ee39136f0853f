package protocol

import (
	_ "embed"
	"fmt"
	"math"
	"strconv"
	"strings"
)

//go:embed requests.schema
var requestSchemas string

// fieldType is the wire type of a field or of the elements of an array.
type fieldType uint8

const (
	typeBool fieldType = iota
	typeInt8
	typeInt16
	typeInt32
	typeInt64
	typeFloat64
	typeUUID
	typeString
	typeBytes
	typeStruct
)

var fieldTypes = map[string]fieldType{
	"bool": typeBool, "int8": typeInt8, "int16": typeInt16, "int32": typeInt32, "int64": typeInt64, "float64": typeFloat64,
	"uuid": typeUUID, "string": typeString, "bytes": typeBytes, "records": typeBytes, "struct": typeStruct,
}

// wireSize is the size of a value of fixed size, and 0 for the others.
func (t fieldType) wireSize() int {
	return [...]int{typeBool: 1, typeInt8: 1, typeInt16: 2, typeInt32: 4, typeInt64: 8, typeFloat64: 8, typeUUID: 16, typeStruct: 0}[t]
}

// versionRange is a closed range of versions; noVersion is the empty one.
type versionRange struct{ min, max int16 }

var (
	allVersions = versionRange{0, math.MaxInt16}
	noVersion   = versionRange{0, -1}
)

func (r versionRange) has(v int16) bool { return r.min <= v && v <= r.max }

// field is one field of a request.
type field struct {
	name     string
	kind     fieldType
	array    bool
	versions versionRange
	nullable versionRange
	tag      int      // -1: not tagged
	decoded  int64    // about what one value (one element of an array) takes in memory once decoded, without what it points to
	fields   []*field // of a struct, in wire order, tagged ones included
}

// request is a parsed row of the table.
type request struct {
	api     API
	fields  []*field
	aliased bool // it has fields that alias, or may alias, the buffer kmsg decodes: bytes and tagged ones
}

// schemaLine is one line of the table, cut in words.
type schemaLine struct {
	number int
	indent int
	words  []string
}

// parseSchemas reads the table of requests. It is our own text: an error in it is ours and found by the first test.
func parseSchemas(text string) ([]*request, error) {
	var requests []*request
	var open []*[]*field // the field lists a line may belong to, by depth
	for i, l := range strings.Split(text, "\n") {
		body := strings.TrimLeft(l, " ")
		if body == "" || body[0] == '#' {
			continue
		}
		line := schemaLine{number: i + 1, indent: (len(l) - len(body)) / 2, words: strings.Fields(body)}
		if line.indent == 0 {
			rq, err := parseRequestLine(line)
			if err != nil {
				return nil, err
			}
			requests = append(requests, rq)
			open = []*[]*field{nil, &rq.fields}
			continue
		}
		if line.indent >= len(open) {
			return nil, fmt.Errorf("line %d: a field without a struct around it", line.number)
		}
		f, err := parseFieldLine(line)
		if err != nil {
			return nil, err
		}
		*open[line.indent] = append(*open[line.indent], f)
		open = open[:line.indent+1]
		if f.kind == typeStruct {
			open = append(open, &f.fields)
		}
		if f.kind == typeBytes || f.tag >= 0 {
			requests[len(requests)-1].aliased = true
		}
	}
	for _, rq := range requests {
		for _, f := range rq.fields {
			f.measure()
		}
	}
	return requests, nil
}

func parseRequestLine(l schemaLine) (*request, error) {
	if len(l.words) != 4 {
		return nil, fmt.Errorf("line %d: want key, name, versions, flexible versions", l.number)
	}
	key, err := strconv.ParseInt(l.words[0], 10, 16)
	if err != nil {
		return nil, fmt.Errorf("line %d: %w", l.number, err)
	}
	versions, err := parseVersions(l.words[2])
	if err != nil {
		return nil, fmt.Errorf("line %d: %w", l.number, err)
	}
	flexible := versionRange{min: math.MaxInt16}
	if l.words[3] != "none" {
		if flexible, err = parseVersions(l.words[3]); err != nil {
			return nil, fmt.Errorf("line %d: %w", l.number, err)
		}
	}
	return &request{api: API{
		Key: int16(key), MinVersion: versions.min, MaxVersion: versions.max, FlexibleFrom: flexible.min, Name: l.words[1],
	}}, nil
}

func parseFieldLine(l schemaLine) (*field, error) {
	if len(l.words) < 2 {
		return nil, fmt.Errorf("line %d: want name and type", l.number)
	}
	name, isArray := strings.CutPrefix(l.words[1], "[]")
	kind, ok := fieldTypes[name]
	if !ok {
		return nil, fmt.Errorf("line %d: no type %q", l.number, name)
	}
	f := &field{name: l.words[0], kind: kind, array: isArray, versions: allVersions, nullable: noVersion, tag: -1}
	for _, w := range l.words[2:] {
		var err error
		if v, ok := strings.CutPrefix(w, "null:"); ok {
			f.nullable, err = parseVersions(v)
		} else if v, ok := strings.CutPrefix(w, "tag:"); ok {
			f.tag, err = strconv.Atoi(v)
		} else {
			f.versions, err = parseVersions(w)
		}
		if err != nil {
			return nil, fmt.Errorf("line %d: %w", l.number, err)
		}
	}
	return f, nil
}

// parseVersions reads "4", "2-7" and "3+".
func parseVersions(s string) (versionRange, error) {
	low, high, isRange := strings.Cut(s, "-")
	from, isOpen := strings.CutSuffix(low, "+")
	first, err := strconv.ParseInt(from, 10, 16)
	if err != nil {
		return noVersion, err
	}
	last := first
	if isOpen {
		last = math.MaxInt16
	}
	if isRange {
		if last, err = strconv.ParseInt(high, 10, 16); err != nil {
			return noVersion, err
		}
	}
	return versionRange{int16(first), int16(last)}, nil
}

// measure estimates the memory of a decoded value, for the bound on what a request may make of its bytes.
func (f *field) measure() {
	switch f.kind {
	case typeBool, typeInt8:
		f.decoded = 1
	case typeInt16:
		f.decoded = 2
	case typeInt32:
		f.decoded = 4
	case typeInt64, typeFloat64:
		f.decoded = 8
	case typeUUID:
		f.decoded = 16
	case typeString:
		f.decoded = 16
	case typeBytes:
		f.decoded = 24
	case typeStruct:
		f.decoded = 8 // kmsg's tags
		for _, c := range f.fields {
			c.measure()
			if c.array {
				f.decoded += 24
			} else {
				f.decoded += max(c.decoded, 8)
			}
		}
	}
}
