package broker

import (
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// mayImport is the plan of the house: which of our own packages each package may import (ARCHITECTURE.md). Arrows point down only and siblings
// never meet.
var mayImport = map[string][]string{
	"protocol":               {},
	"protocol/record":        {"protocol"},
	"protocol/peer":          {"protocol"},
	"zk":                     {"protocol"},
	"storage":                {"protocol", "protocol/record"},
	"replication":            {"protocol", "protocol/record", "protocol/peer", "storage"},
	"replication/controller": {"protocol", "protocol/peer", "zk"},
	"coordinator/group":      {"protocol", "protocol/record"},
	"broker/logging":         {},
	"broker/config":          {},
	"broker": {
		"protocol", "protocol/record", "protocol/peer", "zk", "storage", "replication", "replication/controller", "coordinator/group",
		"broker/config", "broker/logging",
	},
	"cmd/gregor":             {"broker", "broker/config", "broker/logging", "protocol"},
	"zk/zktest":              {"zk"},
	"protocol/peer/peertest": {"protocol"},
	"bench":                  {"bench/load", "bench/plot"},
	"bench/load":             {},
	"bench/plot":             {},
}

func TestImports(t *testing.T) {
	root := ".."
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name := d.Name()
		if d.IsDir() && (name == "integration" || name == "data" || strings.HasPrefix(name, ".") && path != root) {
			return filepath.SkipDir
		}
		if d.IsDir() || !strings.HasSuffix(name, ".go") || strings.HasSuffix(name, "_test.go") {
			return nil
		}
		rel, err := filepath.Rel(root, filepath.Dir(path))
		if err != nil {
			return err
		}
		allowed, known := mayImport[rel]
		if !known && !strings.HasPrefix(rel, "bench/") {
			t.Errorf("package %s is not in the plan", rel)
			return nil
		}
		f, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.ImportsOnly)
		if err != nil {
			return err
		}
		for _, imp := range f.Imports {
			target, err := strconv.Unquote(imp.Path.Value)
			if err != nil {
				return err
			}
			if own, ok := strings.CutPrefix(target, "gregor/"); ok && known && !slices.Contains(allowed, own) {
				t.Errorf("%s imports %s, which the plan does not allow", filepath.Join(rel, name), own)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}
