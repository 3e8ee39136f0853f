package protocol

import "slices"

// API is one row of the table of requests a ZooKeeper-mode broker of 3.9 serves; the table is also the answer to ApiVersions.
type API struct {
	Key, MinVersion, MaxVersion int16
	FlexibleFrom                int16 // first version with compact lengths and tagged fields; 32767 when there is none
	Name                        string
}

// Flexible reports whether a version uses compact lengths and tagged fields (KIP-482).
func (a API) Flexible(version int16) bool { return version >= a.FlexibleFrom }

// Keys of the requests this package treats by hand.
const (
	keyProduce            = 0
	keyFetch              = 1
	keyStopReplica        = 5
	keyControlledShutdown = 7
	keyApiVersions        = 18
)

// apiTable holds the table in two orders: as rows, and by key for lookups.
var apiTable = loadAPITable()

type apiTables struct {
	rows  []API
	byKey []*request // nil where there is no such API
}

// loadAPITable parses the embedded table. It panics on an error there, because that is a bug of ours that no input can cause.
func loadAPITable() apiTables {
	requests, err := parseSchemas(requestSchemas)
	if err != nil {
		panic("protocol: requests.schema: " + err.Error())
	}
	var t apiTables
	for _, rq := range requests {
		t.rows = append(t.rows, rq.api)
		for int(rq.api.Key) >= len(t.byKey) {
			t.byKey = append(t.byKey, nil)
		}
		if t.byKey[rq.api.Key] != nil {
			panic("protocol: requests.schema: two rows for " + rq.api.Name)
		}
		t.byKey[rq.api.Key] = rq
	}
	return t
}

func lookupRequest(key int16) *request {
	if key < 0 || int(key) >= len(apiTable.byKey) {
		return nil
	}
	return apiTable.byKey[key]
}

// APIs returns the 62 rows in key order. The slice is the caller's.
func APIs() []API { return slices.Clone(apiTable.rows) }

// LookupAPI finds a row in O(1).
func LookupAPI(key int16) (API, bool) {
	if rq := lookupRequest(key); rq != nil {
		return rq.api, true
	}
	return API{}, false
}
