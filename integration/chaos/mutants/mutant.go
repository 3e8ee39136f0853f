// Package mutants holds programs that are wrong on purpose: each patch takes one rule out of gregor's own code, and says in its head which, and who has to notice. A test
// that nothing can fail proves nothing; cmd/mutants shows that these do.
//
// A patch is a unified diff against the project's root behind a head of lines "Key: value":
//
//	Rule: the rule that is taken out, and where it comes from
//	Chaos: F1,F2 rounds=6 protocol=2.6     rounds of these faults (package chaos), with that inter.broker.protocol.version
//	Sim: 20000                             random schedules (replication/sim)
//	Unit: ./storage TestDeduplication      tests of a package
//
// Nothing is ever patched in place: the changed files lie elsewhere and go into a build with go's -overlay.
package mutants

import (
	"embed"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

//go:embed *.patch
var patches embed.FS

// A Mutant is one patch.
type Mutant struct {
	Name  string // of the file, without .patch
	Rule  string
	Chaos string // faults, comma-separated; "" when the rig cannot see it
	// Rounds of each fault, and the brokers' inter.broker.protocol.version, "" for their own.
	Rounds   string
	Protocol string
	Sim      string   // schedules, "" none
	Unit     []string // package and pattern

	patch []byte
}

// All reads every patch, in the order of names.
func All() ([]*Mutant, error) {
	entries, err := patches.ReadDir(".")
	if err != nil {
		return nil, err
	}
	var all []*Mutant
	for _, e := range entries {
		patch, err := patches.ReadFile(e.Name())
		if err != nil {
			return nil, err
		}
		m, err := parse(strings.TrimSuffix(e.Name(), ".patch"), patch)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", e.Name(), err)
		}
		all = append(all, m)
	}
	return all, nil
}

func parse(name string, patch []byte) (*Mutant, error) {
	m := &Mutant{Name: name, patch: patch}
	head, _, _ := strings.Cut(string(patch), "\n--- ")
	for line := range strings.Lines(head) {
		key, value, _ := strings.Cut(strings.TrimSpace(line), ": ")
		words := strings.Fields(value)
		switch key {
		case "":
		case "Rule":
			m.Rule = value
		case "Chaos":
			if err := m.parseChaos(words); err != nil {
				return nil, err
			}
		case "Sim":
			m.Sim = value
		case "Unit":
			if len(words) != 2 {
				return nil, fmt.Errorf("%q is not a package and a pattern", value)
			}
			m.Unit = words
		default:
			return nil, fmt.Errorf("unknown key %q", key)
		}
	}
	if m.Rule == "" || m.Chaos == "" && m.Sim == "" && m.Unit == nil {
		return nil, fmt.Errorf("no rule, or nobody to notice")
	}
	return m, nil
}

func (m *Mutant) parseChaos(words []string) error {
	if len(words) == 0 {
		return fmt.Errorf("no faults")
	}
	m.Chaos, m.Rounds = words[0], "1"
	for _, word := range words[1:] {
		switch key, value, _ := strings.Cut(word, "="); key {
		case "rounds":
			m.Rounds = value
		case "protocol":
			m.Protocol = value
		default:
			return fmt.Errorf("%q: neither rounds nor protocol", word)
		}
	}
	return nil
}

var fileLine = regexp.MustCompile(`(?m)^\+\+\+ b/(\S+)$`)

// Files are the paths that the patch changes, from the project's root.
func (m *Mutant) Files() []string {
	var files []string
	for _, found := range fileLine.FindAllSubmatch(m.patch, -1) {
		files = append(files, string(found[1]))
	}
	slices.Sort(files)
	return slices.Compact(files)
}

// Overlay writes the changed files into a folder and returns the file for go's -overlay. A patch that does not apply any more is an error.
func (m *Mutant) Overlay(root, dir string) (overlay string, err error) {
	replace := map[string]string{}
	for _, file := range m.Files() {
		content, err := os.ReadFile(filepath.Join(root, file))
		if err != nil {
			return "", err
		}
		changed := filepath.Join(dir, file)
		if err := os.MkdirAll(filepath.Dir(changed), 0o755); err != nil {
			return "", err
		}
		if err := os.WriteFile(changed, content, 0o644); err != nil {
			return "", err
		}
		replace[filepath.Join(root, file)] = changed
	}
	apply := exec.Command("git", "apply", "--whitespace=nowarn", "-")
	apply.Dir, apply.Stdin = dir, strings.NewReader(string(m.patch))
	apply.Env = append(os.Environ(), "GIT_CEILING_DIRECTORIES="+filepath.Dir(dir)) // dir is no repository, and not part of one
	if output, err := apply.CombinedOutput(); err != nil {
		return "", fmt.Errorf("%s does not apply any more: %w\n%s", m.Name, err, output)
	}
	overlay = filepath.Join(dir, "overlay.json")
	text, err := json.Marshal(map[string]any{"Replace": replace})
	if err != nil {
		return "", err
	}
	return overlay, os.WriteFile(overlay, text, 0o644)
}
