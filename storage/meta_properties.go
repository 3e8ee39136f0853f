package storage

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
)

// MetaProperties is meta.properties, version 0: the form of a broker on ZooKeeper.
type MetaProperties struct {
	ClusterID string // "" when absent
	BrokerID  int32  // -1 when absent
	Present   bool   // the file exists

	// other keys that the file bears, such as directory.id; they survive a rewrite.
	other map[string]string
}

// parseMetaProperties reads the Java properties that Kafka writes there: key=value lines, comments, backslash escapes.
func parseMetaProperties(data []byte) (MetaProperties, error) {
	p := MetaProperties{BrokerID: -1, Present: true}
	for line := range strings.Lines(string(data)) {
		line = strings.TrimLeft(strings.TrimRight(line, "\r\n"), " \t\f")
		if line == "" || line[0] == '#' || line[0] == '!' {
			continue
		}
		key, value, _ := strings.Cut(line, "=")
		key, value = unescapeProperty(strings.TrimSpace(key)), unescapeProperty(strings.TrimSpace(value))
		switch key {
		case "version":
			if value != "0" {
				return p, fmt.Errorf("version %.20q: a broker on ZooKeeper writes and reads version 0", value)
			}
		case "broker.id":
			id, err := strconv.ParseInt(value, 10, 32)
			if err != nil || id < 0 {
				return p, fmt.Errorf("broker.id %.20q is no broker id", value)
			}
			p.BrokerID = int32(id)
		case "cluster.id":
			p.ClusterID = value
		default:
			if p.other == nil {
				p.other = map[string]string{}
			}
			p.other[key] = value
		}
	}
	return p, nil
}

func unescapeProperty(s string) string {
	if !strings.Contains(s, `\`) {
		return s
	}
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] == '\\' && i+1 < len(s) {
			i++
		}
		b.WriteByte(s[i])
	}
	return b.String()
}

var propertyEscaper = strings.NewReplacer(`\`, `\\`, "=", `\=`, ":", `\:`, "#", `\#`, "!", `\!`)

func formatMetaProperties(p MetaProperties, now time.Time) []byte {
	keys := map[string]string{"version": "0"}
	maps.Copy(keys, p.other)
	if p.BrokerID >= 0 {
		keys["broker.id"] = strconv.Itoa(int(p.BrokerID))
	}
	if p.ClusterID != "" {
		keys["cluster.id"] = p.ClusterID
	}
	b := fmt.Appendf(nil, "#\n#%s\n", now.Format("Mon Jan 02 15:04:05 MST 2006"))
	for _, k := range slices.Sorted(maps.Keys(keys)) {
		b = fmt.Appendf(b, "%s=%s\n", propertyEscaper.Replace(k), propertyEscaper.Replace(keys[k]))
	}
	return b
}

// readMetaProperties says Present false when the file is missing.
func readMetaProperties(dir string) (MetaProperties, error) {
	path := filepath.Join(dir, metaPropertiesFile)
	data, err := readSmallFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return MetaProperties{BrokerID: -1}, nil
	}
	if err != nil {
		return MetaProperties{BrokerID: -1}, err
	}
	p, err := parseMetaProperties(data)
	if err != nil {
		return p, fmt.Errorf("%s: %w", path, err)
	}
	return p, nil
}
