package main

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestMedian(t *testing.T) {
	for _, c := range []struct {
		in   []float64
		want float64
	}{{[]float64{3}, 3}, {[]float64{5, 1, 3}, 3}, {[]float64{4, 1, 3, 2}, 2.5}} {
		if got := median(c.in); got != c.want {
			t.Errorf("median(%v) = %v, want %v", c.in, got, c.want)
		}
	}
}

// TestMatrix holds the names together: no two scenarios and no two figures of one may share a name, and families are found by their letter.
func TestMatrix(t *testing.T) {
	seen := map[string]bool{}
	for _, s := range matrix() {
		if seen[s.name] || strings.Contains(s.name, " ") || len(s.measures) == 0 {
			t.Errorf("scenario %q", s.name)
		}
		seen[s.name] = true
		for _, m := range s.measures {
			if k := key(s.name, m.name); seen[k] || m.unit == "" || m.what == "" {
				t.Errorf("figure %q", k)
			} else {
				seen[k] = true
			}
		}
	}
	for _, h := range highlights {
		if !seen[h.key] {
			t.Errorf("the readme shows %q, which nothing measures", h.key)
		}
	}
	replicated, err := choose(matrix(), []string{"R", "G2"}, false)
	if err != nil || len(replicated) != 6 || replicated[0].name != "G2" || replicated[5].name != "R5" {
		t.Errorf("R and G2 are %v, %v", replicated, err)
	}
	if _, err := choose(matrix(), []string{"G2", "Q7"}, false); err == nil || !strings.Contains(err.Error(), `"Q7"`) {
		t.Errorf("row Q7: %v", err)
	}
}

func TestBetter(t *testing.T) {
	less, more := measure{}, measure{more: true}
	if got := less.better([]float64{2000}, []float64{20}); got != 100 {
		t.Errorf("20 instead of 2000 is %v times better", got)
	}
	if got := more.better([]float64{10}, []float64{50}); got != 5 {
		t.Errorf("50 instead of 10 is %v times better", got)
	}
	if got := less.better([]float64{2000}, nil); got != 0 {
		t.Errorf("nothing to compare with is %v times better", got)
	}
}

// TestTable shows a whole row, one with a failure, and leaves out one that was not run.
func TestTable(t *testing.T) {
	out := newResults()
	for _, v := range []float64{90, 100, 110} {
		out.add("G1 rate", apache, v)
		out.add("G1 rate", gregor, 3*v)
		out.add("G1 rate", loop, 4*v)
	}
	out.fail("R5", gregor, errTest("the disk is full\nand more"))
	out.fail("R5", gregor, errTest("later"))
	table := out.table(matrix())
	for _, want := range []string{"| G1 | requests | 100 1/s (90–110) | 300 1/s (270–330) | **3x** | 2.9x | loop 400 | 3 / 3 |", "failed: the disk is full |"} {
		if !strings.Contains(table, want) {
			t.Errorf("no %q in\n%s", want, table)
		}
	}
	if strings.Contains(table, "G2") {
		t.Errorf("a row that was not run in\n%s", table)
	}
}

type errTest string

func (e errTest) Error() string { return string(e) }

// TestPublish writes twice: what stands around the report stays, a row measured again moves to the new run, other rows stay where they are.
func TestPublish(t *testing.T) {
	file, readme := filepath.Join(t.TempDir(), "performance.md"), filepath.Join(t.TempDir(), "README.md")
	for name, text := range map[string]string{file: "# Ours\n\n" + reportBegin + "\nold\n" + reportEnd + "\nbehind\n", readme: "top\n" + readmeBegin + readmeEnd + "\nbelow\n"} {
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, m := range []*measured{
		{Conditions: []string{"first"}, Samples: map[string]map[kind][]float64{"G1 rate": {apache: {1}, gregor: {111}}, "G2 rate": {apache: {1}, gregor: {222}},
			"K1 cpu@64": {apache: {1}, gregor: {1}}, "K1 cpu@4096": {apache: {64}, gregor: {1}}}},
		{Conditions: []string{"second"}, Samples: map[string]map[kind][]float64{"G1 rate": {apache: {1}, gregor: {333}}}},
	} {
		if err := publish(file, readme, m); err != nil {
			t.Fatal(err)
		}
	}
	raw, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	text := string(raw)
	for _, want := range []string{"# Ours\n\n" + reportBegin, "- first", "- second", "222 1/s", "333 1/s", reportEnd + "\nbehind\n"} {
		if !strings.Contains(text, want) {
			t.Errorf("no %q in\n%s", want, text)
		}
	}
	if want := "| Apache Kafka 3.9.2: slope"; !strings.Contains(text, want) || !strings.Contains(text, "| 1.00 | 1 at 64, 64 at 4096 | 0.00 | 1 at 64, 1 at 4096 |") {
		t.Errorf("no curve in\n%s", text)
	}
	for _, name := range []string{ratiosFile, "bench-K1-cpu.svg"} {
		if _, err := os.Stat(filepath.Join(filepath.Dir(file), "img", name)); err != nil {
			t.Error(err)
		}
	}
	if raw, err = os.ReadFile(readme); err != nil || !strings.HasPrefix(string(raw), "top\n") || !strings.HasSuffix(string(raw), "below\n") || !strings.Contains(string(raw), "| 1 1/s | 333 1/s | 333x |") {
		t.Errorf("%v, readme:\n%s", err, raw)
	}
	if strings.Contains(text, "old") || strings.Contains(text, "111 1/s") {
		t.Errorf("report:\n%s", text)
	}
}

func TestMillis(t *testing.T) {
	var took []time.Duration
	for i := range 1000 {
		took = append(took, time.Duration(1000-i)*time.Millisecond)
	}
	if got := millis(took, 0.5, 0.99, 0.999); got[0] != 501 || got[1] != 991 || got[2] != 1000 {
		t.Errorf("shares of 1 to 1000 ms: %v", got)
	}
}

// TestDiscard: space comes back at once, names at the end.
func TestDiscard(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "broker-1")
	large, small := filepath.Join(dir, "t-0", "0.log"), filepath.Join(dir, "server.properties")
	if err := os.MkdirAll(filepath.Dir(large), 0o700); err != nil {
		t.Fatal(err)
	}
	for file, size := range map[string]int{large: 1 << 20, small: 100} {
		f, err := os.Create(file)
		if err != nil {
			t.Fatal(err)
		}
		_, err = f.Write(make([]byte, size))
		if err := errors.Join(err, f.Sync(), f.Close()); err != nil { // only what is written out has blocks on every file system
			t.Fatal(err)
		}
	}
	l := &lab{}
	l.discard(dir)
	for file, want := range map[string]int64{large: 0, small: 100} {
		if info, err := os.Stat(file); err != nil || info.Size() != want {
			t.Errorf("%s: %v, %v, want %d bytes", file, info, err, want)
		}
	}
	l.close()
	if _, err := os.Stat(dir); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("%s is there after the run: %v", dir, err)
	}
}
