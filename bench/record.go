package main

import (
	"encoding/json"
	"errors"
	"os"
	"strings"
)

// record is what docs/performance.json keeps: every sample of the runs that the report shows, for whoever wants to compute with them. A row that is
// measured again moves from its old run to the new one; a run without rows is dropped.
type record struct {
	Runs []*measured `json:"runs"`
}

// measured is one run of this program.
type measured struct {
	Conditions []string                      `json:"conditions"`
	Samples    map[string]map[kind][]float64 `json:"samples"`
	Failures   map[string]map[kind]string    `json:"failures,omitempty"`
}

func readRecord(file string) (*record, error) {
	r := &record{}
	text, err := os.ReadFile(file)
	if errors.Is(err, os.ErrNotExist) {
		return r, nil
	}
	if err != nil {
		return nil, err
	}
	return r, json.Unmarshal(text, r)
}

func (r *record) write(file string) error {
	text, err := json.MarshalIndent(r, "", " ")
	if err != nil {
		return err
	}
	return os.WriteFile(file, append(text, '\n'), 0o644)
}

// add puts a run in front, and takes from the others what it has measured anew.
func (r *record) add(m *measured) {
	again := map[string]bool{}
	for k := range m.Samples {
		again[scenarioOf(k)] = true
	}
	for name := range m.Failures {
		again[name] = true
	}
	runs := []*measured{m}
	for _, old := range r.Runs {
		for k := range old.Samples {
			if again[scenarioOf(k)] {
				delete(old.Samples, k)
			}
		}
		for name := range old.Failures {
			if again[name] {
				delete(old.Failures, name)
			}
		}
		if len(old.Samples)+len(old.Failures) > 0 {
			runs = append(runs, old)
		}
	}
	r.Runs = runs
}

func scenarioOf(key string) string {
	name, _, _ := strings.Cut(key, " ")
	return name
}
