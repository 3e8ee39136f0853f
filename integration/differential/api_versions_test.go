package differential

import (
	"github.com/twmb/franz-go/pkg/kmsg"
)

func apiVersionsScenarios() []scenario {
	return []scenario{
		{"api versions", apiVersions},
		{"api versions unknown", apiVersionsUnknown},
		{"keys and versions out of range", outOfRange},
	}
}

func apiVersionsRequest(version int16, name, software string) *kmsg.ApiVersionsRequest {
	r := at(version, kmsg.NewPtrApiVersionsRequest())
	r.ClientSoftwareName, r.ClientSoftwareVersion = name, software
	return r
}

func apiVersions(s *session) {
	s.each(18, 0, func(s *session, v int16) {
		s.do("right", apiVersionsRequest(v, "diff", "1.0"))
		s.do("again", apiVersionsRequest(v, "diff", "1.0"))
	})
	for _, c := range [][2]string{{"", ""}, {"a", ""}, {"-a", "1"}, {"a-", "1"}, {"a", "1."}, {"a b", "1"}, {"ä", "1"}, {"a.b-c", "1-x.y"}, {"a", "1\x00"}} {
		s.in("name").do(c[0]+"/"+c[1], apiVersionsRequest(3, c[0], c[1]))
		s.in("name v4").do(c[0]+"/"+c[1], apiVersionsRequest(4, c[0], c[1]))
	}
}

// apiVersionsUnknown sends versions the broker does not know, under both forms of header.
func apiVersionsUnknown(s *session) {
	for _, version := range []int16{5, 6, 100, 32767, -1, -32768} {
		for _, flexible := range []bool{false, true} {
			for _, body := range [][]byte{nil, {0}, {2, 'a', 2, '1', 0}, {0xff, 0xff}} {
				s.in("version %d flexible header %v body %x", version, flexible, body)
				c := s.connection()
				id, err := c.send(18, version, flexible, body)
				req := at(0, kmsg.NewPtrApiVersionsRequest())
				(&pending{s, s.label("first"), req, id, err}).finish()
				s.do("then v3", apiVersionsRequest(3, "a", "1"))
			}
		}
	}
}

// outOfRange sends every key with versions next to the served ones, and keys that are not served.
func outOfRange(s *session) {
	s.wait = muteWait
	try := func(key, version int16) {
		if key == 18 {
			return
		}
		for _, flexible := range []bool{false, true} {
			s.in("key %d version %d flexible header %v", key, version, flexible)
			id, err := s.connection().send(key, version, flexible, make([]byte, 16))
			(&pending{s, s.label(""), at(0, kmsg.NewPtrApiVersionsRequest()), id, err}).finish()
		}
	}
	for _, v := range served {
		try(v.key, v.max+1)
		try(v.key, -1)
	}
	for _, key := range []int16{-1, 52, 53, 54, 55, 59, 62, 63, 64, 70, 71, 72, 73, 74, 75, 76, 77, 78, 79, 80, 81, 82, 83, 87, 88, 1000, 32767} {
		try(key, 0)
	}
}
