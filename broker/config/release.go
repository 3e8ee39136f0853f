package config

import "strings"

// releases are the values of inter.broker.protocol.version and message.format.version, oldest first (MetadataVersion
// of Kafka 3.9). The part before "-" names the last of its line: 2.8 is 2.8-IV1. There is no plain 4.0 yet.
var releases = strings.Fields(`
	0.8.0 0.8.1 0.8.2 0.9.0 0.10.0-IV0 0.10.0-IV1 0.10.1-IV0 0.10.1-IV1 0.10.1-IV2 0.10.2-IV0 0.11.0-IV0 0.11.0-IV1 0.11.0-IV2
	1.0-IV0 1.1-IV0 2.0-IV0 2.0-IV1 2.1-IV0 2.1-IV1 2.1-IV2 2.2-IV0 2.2-IV1 2.3-IV0 2.3-IV1 2.4-IV0 2.4-IV1 2.5-IV0 2.6-IV0
	2.7-IV0 2.7-IV1 2.7-IV2 2.8-IV0 2.8-IV1 3.0-IV0 3.0-IV1 3.1-IV0 3.2-IV0 3.3-IV0 3.3-IV1 3.3-IV2 3.3-IV3 3.4-IV0
	3.5-IV0 3.5-IV1 3.5-IV2 3.6-IV0 3.6-IV1 3.6-IV2 3.7-IV0 3.7-IV1 3.7-IV2 3.7-IV3 3.7-IV4 3.8-IV0 3.9-IV0 4.0-IV0 4.0-IV1`)

// releaseIndex places a name in releases. Segments beyond the second (the third for 0.x) are dropped: 2.8.1 is 2.8.
func releaseIndex(name string) (int, bool) {
	segments := 2
	if strings.HasPrefix(name, "0.") {
		segments = 3
	}
	if parts := strings.Split(name, "."); len(parts) > segments {
		name = strings.Join(parts[:segments], ".")
	}
	for i := len(releases) - 1; i >= 0; i-- {
		line, _, _ := strings.Cut(releases[i], "-")
		if releases[i] == name || line == name && line != "4.0" {
			return i, true
		}
	}
	return 0, false
}

// recordVersion is the message format that a release writes: 0 before 0.10, 1 before 0.11, 2 from then on.
func recordVersion(release string) int {
	i, _ := releaseIndex(release)
	switch {
	case strings.HasPrefix(releases[i], "0.8") || strings.HasPrefix(releases[i], "0.9"):
		return 0
	case strings.HasPrefix(releases[i], "0.10"):
		return 1
	default:
		return 2
	}
}

// atLeastRelease reports whether release is want or newer. Both are valid names.
func atLeastRelease(release, want string) bool {
	have, _ := releaseIndex(release)
	need, _ := releaseIndex(want)
	return have >= need
}
