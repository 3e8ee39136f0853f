package protocol

import (
	"testing"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// TestDefaultsOfKmsgWalk encodes the default request of every version with kmsg and expects the walker to take all of it.
func TestDefaultsOfKmsgWalk(t *testing.T) {
	for _, api := range APIs() {
		for v := api.MinVersion; v <= api.MaxVersion; v++ {
			req := kmsg.RequestForKey(api.Key)
			if req == nil {
				t.Fatalf("kmsg has no %s", api.Name)
			}
			req.SetVersion(v)
			if req.IsFlexible() != api.Flexible(v) {
				t.Errorf("%s v%d: kmsg flexible %v", api.Name, v, req.IsFlexible())
			}
			body := req.AppendTo(nil)
			got, culprit, err := lookupRequest(api.Key).walk(v, body)
			if err != nil {
				t.Errorf("%s v%d: %v (%v)", api.Name, v, err, culprit)
			} else if len(got) != len(body) {
				t.Errorf("%s v%d: %d of %d bytes", api.Name, v, len(got), len(body))
			}
		}
	}
}
