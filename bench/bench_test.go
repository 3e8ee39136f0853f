package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kmsg"

	"gregor/protocol/record"
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

// TestBatch has the product read what the load generator builds.
func TestBatch(t *testing.T) {
	for _, shape := range [][2]int{{15, recordSize}, {920, recordSize}, {1, 100}} {
		b, _, err := record.Split(buildBatch(shape[0], shape[1]))
		if err != nil {
			t.Fatal(err)
		}
		n := 0
		if err := b.Each(1<<20, func(r record.Record) error {
			if n++; len(r.Value) != shape[1] {
				t.Errorf("a value of %d bytes, want %d", len(r.Value), shape[1])
			}
			return nil
		}); err != nil || n != shape[0] {
			t.Errorf("%d records, want %d; %v", n, shape[0], err)
		}
	}
}

// TestLastOffset reads an answer with a whole and a cut batch.
func TestLastOffset(t *testing.T) {
	batch := buildBatch(15, recordSize)
	resp := kmsg.NewPtrFetchResponse()
	resp.Version = 11
	p := kmsg.NewFetchResponseTopicPartition()
	p.RecordBatches = append(append([]byte(nil), batch...), batch[:100]...)
	topic := kmsg.NewFetchResponseTopic()
	topic.Partitions = append(topic.Partitions, p)
	resp.Topics = append(resp.Topics, topic)
	n, next, err := lastOffset(resp.AppendTo(nil))
	if err != nil || n != int64(len(batch)+100) || next != 15 {
		t.Errorf("lastOffset = %d, %d, %v", n, next, err)
	}
}

func TestTable(t *testing.T) {
	r := newResults()
	r.add("start", apache, 2000)
	r.add("start", gregor, 20)
	r.add("requests100", apache, 10_000)
	r.add("requests100", gregor, 50_000)
	r.add("idle", apache, 300) // one side only: no row
	table := r.table(rows(), options{megabyte: 1})
	for _, want := range []string{"**100.00x**", "**5.00x**"} {
		if !strings.Contains(table, want) {
			t.Errorf("no %s in\n%s", want, table)
		}
	}
	if strings.Contains(table, "idle") {
		t.Errorf("a row without both sides in\n%s", table)
	}
}

// TestWriteReport writes both parts twice: what stands before them stays, each replaces itself.
func TestWriteReport(t *testing.T) {
	file := filepath.Join(t.TempDir(), "performance.md")
	if err := os.WriteFile(file, []byte("# Ours\n\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, w := range []struct {
		cluster bool
		table   string
	}{{false, "first"}, {true, "cluster one"}, {false, "second"}, {true, "cluster two"}} {
		if err := writeReport(file, w.cluster, "conditions", w.table); err != nil {
			t.Fatal(err)
		}
	}
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if s := string(text); !strings.HasPrefix(s, "# Ours\n\n"+reportHead) || strings.Contains(s, "first") || strings.Contains(s, "cluster one") ||
		!strings.Contains(s, "second") || !strings.HasSuffix(s, clusterHead+"\n\nconditions\n\ncluster two") {
		t.Errorf("report:\n%s", s)
	}
}
