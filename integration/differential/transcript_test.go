package differential

import (
	"encoding/hex"
	"fmt"
	"reflect"
	"regexp"
	"sort"
	"strconv"
	"strings"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// entry is what one step saw: the outcome, and the fields of the answer as path and masked value.
type entry struct {
	label   string
	outcome outcome
	fields  map[string]string
}

// keyFields name, in order of preference, the field that identifies an element of an array, so that arrays are compared as sets: Kafka builds
// many of them from hash maps and promises no order.
var keyFields = []string{
	"Topic", "Name", "ResourceName", "Group", "GroupID", "Partition", "ApiKey", "NodeID", "Dir", "TransactionalID", "TopicID", "MemberID", "InstanceID", "Key",
	"StartOffset", "ProducerID",
}

// masked fields differ between any two runs of one broker. The function sees the value as text and returns what is left to compare.
var masked = map[string]func(string) string{
	"ErrorMessage":      nullness,
	"ClusterID":         nonEmpty,
	"Port":              positive,
	"TopicID":           nonZeroID,
	"ID":                nonZeroID,
	"Dir":               nonEmpty,
	"TotalBytes":        positive,
	"UsableBytes":       positive,
	"SessionID":         positive,
	"LogAppendTime":     positive,
	"RequestTimeMillis": positive,
	"Documentation":     nullness,
}

const null = "null"

func nullness(s string) string {
	if s == null || s == "" {
		return s
	}
	return "<text>"
}

func nonEmpty(s string) string {
	if s == null || s == "" {
		return s
	}
	return "<some>"
}

func nonZeroID(s string) string {
	if strings.Trim(s, "0") == "" {
		return "zero"
	}
	return "<id>"
}

func positive(s string) string {
	if n, err := strconv.ParseInt(s, 10, 64); err == nil && n > 0 {
		return "<positive>"
	}
	return s
}

var uuidPattern = regexp.MustCompile(`[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}`)

// flattener turns an answer into paths and values.
type flattener struct {
	replace *strings.Replacer // this broker's addresses and directories
	records recordMask
	out     map[string]string
}

func (f *flattener) message(resp kmsg.Response) {
	v := reflect.ValueOf(resp).Elem()
	for i := range v.NumField() {
		if name := v.Type().Field(i).Name; name != "Version" {
			f.value(name, name, v.Field(i))
		}
	}
}

func (f *flattener) text(s string) string {
	return uuidPattern.ReplaceAllString(f.replace.Replace(s), "<uuid>")
}

func (f *flattener) leaf(path, name, value string) {
	if m := masked[name]; m != nil {
		value = m(value)
	}
	f.out[path] = value
}

func (f *flattener) value(path, name string, v reflect.Value) {
	if tags, ok := v.Interface().(kmsg.Tags); ok {
		tags.Each(func(tag uint32, b []byte) { f.out[fmt.Sprintf("%s.tag%d", path, tag)] = hex.EncodeToString(b) })
		return
	}
	switch v.Kind() {
	case reflect.Pointer:
		if v.IsNil() {
			f.leaf(path, name, null)
			return
		}
		f.value(path, name, v.Elem())
	case reflect.Struct:
		for i := range v.NumField() {
			field := v.Type().Field(i).Name
			f.value(path+"."+field, field, v.Field(i))
		}
	case reflect.Slice:
		f.slice(path, name, v)
	case reflect.Array:
		f.leaf(path, name, fmt.Sprintf("%x", v.Interface()))
	case reflect.String:
		f.leaf(path, name, f.text(v.String()))
	default:
		f.leaf(path, name, fmt.Sprint(v.Interface()))
	}
}

func (f *flattener) slice(path, name string, v reflect.Value) {
	elem := v.Type().Elem()
	switch {
	case v.IsNil() && elem.Kind() == reflect.Uint8:
		f.leaf(path, name, null)
	case elem.Kind() == reflect.Uint8 && (name == "RecordBatches" || name == "Records"):
		f.recordBatches(path, v.Bytes())
	case elem.Kind() == reflect.Uint8:
		f.leaf(path, name, uuidPattern.ReplaceAllString(fmt.Sprintf("%q", v.Bytes()), "<uuid>"))
	case elem.Kind() == reflect.Struct:
		f.elements(path, v)
	case elem.Kind() == reflect.String:
		values := make([]string, v.Len())
		for i := range values {
			values[i] = f.text(v.Index(i).String())
		}
		sort.Strings(values)
		f.leaf(path, name, strings.Join(values, ","))
	default:
		f.leaf(path, name, fmt.Sprint(v.Interface()))
	}
}

// elements flattens an array of structs; the path of an element carries its key, and #n when the key occurs again.
func (f *flattener) elements(path string, v reflect.Value) {
	f.out[path+".len"] = strconv.Itoa(v.Len())
	seen := map[string]int{}
	order := make([]int, v.Len())
	for i := range order {
		order[i] = i
	}
	if v.Len() > 0 && v.Index(0).FieldByName("MemberAssignment").IsValid() {
		// Members of a group differ by ids that are masked: tell them apart by the rest.
		sort.SliceStable(order, func(a, b int) bool { return f.sketch(v.Index(order[a])) < f.sketch(v.Index(order[b])) })
	}
	for _, i := range order {
		key := f.key(v.Index(i), i)
		seen[key]++
		if n := seen[key]; n > 1 {
			key += "#" + strconv.Itoa(n)
		}
		f.value(path+"["+key+"]", "", v.Index(i))
	}
}

// sketch is all of a value as one masked text.
func (f *flattener) sketch(v reflect.Value) string { return f.text(fmt.Sprintf("%s", v.Interface())) }

func (f *flattener) key(v reflect.Value, index int) string {
	for _, name := range keyFields {
		field := v.FieldByName(name)
		if !field.IsValid() {
			continue
		}
		if field.Kind() == reflect.Pointer {
			if field.IsNil() {
				continue
			}
			field = field.Elem()
		}
		text := f.text(fmt.Sprint(field.Interface()))
		if field.Kind() == reflect.Array || text == "" && v.FieldByName("TopicID").IsValid() {
			continue // named by id instead, which is masked
		}
		if m := masked[name]; m != nil {
			text = m(text)
		}
		return text
	}
	return strconv.Itoa(index)
}
