package mutants

import (
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"testing"
)

// TestPatchesApply keeps the patches up to date: whoever changes the code that one is about changes the patch, too.
func TestPatchesApply(t *testing.T) {
	root, err := filepath.Abs("../../..")
	if err != nil {
		t.Fatal(err)
	}
	all, err := All()
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range all {
		t.Run(m.Name, func(t *testing.T) {
			overlay, err := m.Overlay(root, t.TempDir())
			if err != nil {
				t.Fatal(err)
			}
			args := []string{"build", "-overlay", overlay}
			for _, file := range m.Files() {
				if pkg := "./" + path.Dir(file); !slices.Contains(args, pkg) {
					args = append(args, pkg)
				}
			}
			build := exec.Command("go", args...)
			build.Dir = root
			if output, err := build.CombinedOutput(); err != nil {
				t.Errorf("it does not compile: %v\n%s", err, output)
			}
		})
	}
}

// TestHeads shows what a head may not say.
func TestHeads(t *testing.T) {
	for _, head := range []string{
		"", "Rule: r\n", "Sim: 5\n", "Rule: r\nChaos: \n", "Rule: r\nChaos: F1 times=3\n", "Rule: r\nUnit: ./storage\n", "Rule: r\nSim: 5\nWho: me\n",
	} {
		if m, err := parse("m", []byte(head+"\n--- a/x\n+++ b/x\n")); err == nil {
			t.Errorf("%q is taken for %+v", head, m)
		}
	}
}
