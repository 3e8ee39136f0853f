package broker

import (
	"regexp"

	"github.com/twmb/franz-go/pkg/kmsg"

	"gregor/protocol"
)

// ApiVersions 0–4 (KIP-35, KIP-511). It is answered at once and before authentication. As in a ZooKeeper-mode broker no feature is supported or
// finalized; the features epoch is the data version of /feature.

// softwareName is what a client's name and version must look like since version 3.
var softwareName = regexp.MustCompile(`^[a-zA-Z0-9](?:[a-zA-Z0-9\-.]*[a-zA-Z0-9])?$`)

func serveApiVersions(rq *request, body []byte, o *output) error {
	h := rq.header
	api, _ := protocol.LookupAPI(keyApiVersions)
	resp := kmsg.NewPtrApiVersionsResponse()
	if h.Version < api.MinVersion || h.Version > api.MaxVersion {
		// Whatever the client speaks, it can read version 0; the one row tells it what to ask next.
		h.Version = 0
		resp.ErrorCode = int16(protocol.UnsupportedVersion)
		resp.ApiKeys = []kmsg.ApiVersionsResponseApiKey{apiVersionsRow(api)}
		o.buf = protocol.AppendResponse(o.buf, h, resp)
		return nil
	}
	decoded, err := protocol.DecodeRequest(h, body)
	if err != nil {
		return err
	}
	req := decoded.(*kmsg.ApiVersionsRequest)
	resp.SetVersion(h.Version)
	if h.Version >= 3 && (!softwareName.MatchString(req.ClientSoftwareName) || !softwareName.MatchString(req.ClientSoftwareVersion)) {
		resp.ErrorCode = int16(protocol.InvalidRequest)
	} else {
		resp.ApiKeys = apiVersionsRows
		resp.FinalizedFeaturesEpoch = rq.conn.b.featureEpoch.Load()
	}
	o.buf = protocol.AppendResponse(o.buf, h, resp)
	return nil
}

// apiVersionsRows are all rows. They are shared by all answers and do not change: every connection begins with this request.
var apiVersionsRows = func() (rows []kmsg.ApiVersionsResponseApiKey) {
	for _, api := range protocol.APIs() {
		rows = append(rows, apiVersionsRow(api))
	}
	return rows
}()

func apiVersionsRow(api protocol.API) kmsg.ApiVersionsResponseApiKey {
	k := kmsg.NewApiVersionsResponseApiKey()
	k.ApiKey, k.MinVersion, k.MaxVersion = api.Key, api.MinVersion, api.MaxVersion
	return k
}
