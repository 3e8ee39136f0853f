package differential

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"reflect"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"
)

func frameScenarios() []scenario {
	return []scenario{
		{"frames", frames},
		{"headers", headers},
		{"bodies behind", bodiesBehind},
		{"bodies cut", bodiesCut},
		{"bodies changed", bodiesChanged},
	}
}

// rawFrame sends bytes and then asks whether the connection still answers.
func (s *session) rawFrame(label string, b []byte) {
	s.close()
	c := s.connection()
	c.sendBytes(b)
	id, after, o := c.receive(2 * time.Second)
	s.log.add(entry{s.label(label), o, map[string]string{"answer": fmt.Sprintf("%d %x", id, after)}})
	s.close()
}

func frames(s *session) {
	size := func(n uint32, rest ...byte) []byte { return append(binary.BigEndian.AppendUint32(nil, n), rest...) }
	s.rawFrame("size 0", size(0))
	s.rawFrame("size 1", size(1, 0))
	s.rawFrame("size 3", size(3, 0, 0, 0))
	s.rawFrame("size 4", size(4, 0, 18, 0, 0))
	s.rawFrame("size 8", size(8, 0, 18, 0, 0, 0, 0, 0, 1))
	s.rawFrame("size 10", size(10, 0, 18, 0, 0, 0, 0, 0, 1, 0xff, 0xff))
	s.rawFrame("size -1", size(0xffffffff))
	s.rawFrame("size min", size(0x80000000))
	s.rawFrame("size over the limit", size(104857601))
	s.rawFrame("size at the limit, then nothing", size(104857600))
	s.rawFrame("http", []byte("GET / HTTP/1.1\r\nHost: x\r\n\r\n"))
	s.rawFrame("tls", []byte{22, 3, 1, 0, 5, 1, 0, 0, 1, 3})
	s.rawFrame("half a size", []byte{0, 0})
}

func headers(s *session) {
	frame := func(rest ...byte) []byte {
		return append(binary.BigEndian.AppendUint32(nil, uint32(len(rest))), rest...)
	}
	s.rawFrame("client id null", frame(0, 18, 0, 0, 0, 0, 0, 5, 0xff, 0xff))
	s.rawFrame("client id -2", frame(0, 18, 0, 0, 0, 0, 0, 5, 0xff, 0xfe))
	s.rawFrame("client id min", frame(0, 18, 0, 0, 0, 0, 0, 5, 0x80, 0))
	s.rawFrame("client id empty", frame(0, 18, 0, 0, 0, 0, 0, 5, 0, 0))
	s.rawFrame("client id beyond", frame(0, 18, 0, 0, 0, 0, 0, 5, 0, 9, 'a'))
	s.rawFrame("client id not text", frame(0, 18, 0, 0, 0, 0, 0, 5, 0, 2, 0xc0, 0xff))
	s.rawFrame("correlation id -1", frame(0, 18, 0, 0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff))
	body := []byte{2, 'a', 2, '1', 0}
	flexible := func(tags ...byte) []byte {
		return frame(append(append([]byte{0, 18, 0, 3, 0, 0, 0, 5, 0xff, 0xff}, tags...), body...)...)
	}
	s.rawFrame("no tags", flexible(0))
	s.rawFrame("one tag", flexible(1, 7, 2, 1, 2))
	s.rawFrame("two tags out of order", flexible(2, 7, 1, 1, 3, 1, 1))
	s.rawFrame("tag twice", flexible(2, 7, 1, 1, 7, 1, 1))
	s.rawFrame("tag beyond", flexible(1, 7, 100, 1))
	s.rawFrame("tags beyond", flexible(100))
	s.rawFrame("tag count huge", flexible(0xff, 0xff, 0xff, 0xff, 0x0f))
	s.rawFrame("tag count endless", flexible(0xff, 0xff, 0xff, 0xff, 0xff, 0xff))
	s.rawFrame("tag count padded", flexible(0x80, 0x80, 0))
	s.rawFrame("controlled shutdown v0", frame(0, 7, 0, 0, 0, 0, 0, 5, 0, 0, 0, 44))
}

// sample fills every field of a request with something small that exists nowhere: one element per array, "x" per string, so that executing it
// changes nothing.
func sample(key, version int16) kmsg.Request {
	r := kmsg.RequestForKey(key)
	fillValue(reflect.ValueOf(r).Elem(), "")
	r.SetVersion(version)
	return r
}

func fillValue(v reflect.Value, name string) {
	if _, tags := v.Interface().(kmsg.Tags); tags {
		return
	}
	switch v.Kind() {
	case reflect.Struct:
		for i := range v.NumField() {
			if f := v.Type().Field(i); f.IsExported() {
				fillValue(v.Field(i), f.Name)
			}
		}
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		fillValue(v.Elem(), name)
	case reflect.Slice:
		if v.Type().Elem().Kind() == reflect.Uint8 {
			v.SetBytes([]byte("x"))
			return
		}
		v.Set(reflect.MakeSlice(v.Type(), 1, 1))
		fillValue(v.Index(0), name)
	case reflect.String:
		v.SetString("x")
	case reflect.Bool:
		v.SetBool(name == "ValidateOnly")
	case reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		v.SetInt(1)
	}
}

// mutating keys would change the cluster if a changed body of theirs were executed, or wait for long.
var mutating = map[int16]bool{4: true, 5: true, 6: true, 7: true, 11: true, 14: true, 19: true, 20: true, 22: true, 33: true, 37: true, 43: true, 44: true, 45: true, 49: true, 51: true, 56: true, 57: true, 67: true}

// bodiesBehind sends whole requests with bytes behind the body: accepted as if they were not there.
func bodiesBehind(s *session) {
	s.coordinatorReady()
	s.createTopic("x", 1) // the name in every sample: old versions of Metadata would make it
	for _, a := range served {
		if mutating[a.key] || a.key == 58 || a.key == 0 || a.key == 16 || a.key >= 24 && a.key <= 28 || a.key == 65 || a.key == 66 {
			continue
		}
		for v := a.min; v <= a.max; v++ {
			if a.key <= 1 && v < 4 || a.key == 9 && v == 0 || a.key == 8 && v == 0 {
				continue
			}
			r := sample(a.key, v)
			body := r.AppendTo(nil)
			s.in("%s v%d", kmsg.NameForKey(a.key), v).raw("whole", r, body, 5*time.Second)
			s.raw("bytes behind", r, append(body, 1, 2, 3), 5*time.Second)
		}
	}
}

// bodiesCut sends every request cut off at every length but the whole: the connection closes, except where the rest may be missing.
func bodiesCut(s *session) {
	for _, a := range served {
		if a.key == 18 {
			continue
		}
		for v := a.min; v <= a.max; v++ {
			r := sample(a.key, v)
			body := r.AppendTo(nil)
			outcomes := ""
			for n := range len(body) {
				if n > 60 && n < len(body)-20 && n%7 != 0 {
					continue
				}
				outcomes += s.fate(r, body[:n])
			}
			s.in("%s v%d", kmsg.NameForKey(a.key), v).note("fates by length", outcomes)
		}
	}
}

// fate sends a body and says with one letter what became of it: closed, answered, mute or garbled.
func (s *session) fate(r kmsg.Request, body []byte) string {
	id, err := s.connection().send(r.Key(), r.GetVersion(), r.IsFlexible(), body)
	defer func(w time.Duration) { s.wait = w }(s.wait)
	s.wait = 3 * time.Second
	e, _ := (&pending{s, "", r, id, err}).result()
	return string(e.outcome[:1])
}

// bodiesChanged overwrites single bytes of requests that change nothing, with values that make lengths and counts wild.
func bodiesChanged(s *session) {
	s.coordinatorReady()
	for _, a := range served {
		if mutating[a.key] || a.key == 58 || a.key <= 1 || a.key == 18 || a.key == 8 || a.key == 10 || a.key >= 24 && a.key <= 28 || a.key == 65 || a.key == 66 || a.key == 29 || a.key == 31 {
			continue // served by scenarios of their own, or with features that are off
		}
		for v := a.min; v <= a.max; v++ {
			if a.key == 9 && v == 0 || a.key == 3 && v < 4 {
				continue
			}
			r := sample(a.key, v)
			whole := r.AppendTo(nil)
			random := rand.New(rand.NewPCG(uint64(a.key), uint64(v)))
			outcomes := ""
			for n := range whole {
				for _, value := range []byte{0xff, 0x7f, byte(random.IntN(256))} {
					body := append([]byte(nil), whole...)
					body[n] = value
					outcomes += s.fate(r, body)
				}
			}
			s.in("%s v%d", kmsg.NameForKey(a.key), v).note("fates by place", outcomes)
		}
	}
}
