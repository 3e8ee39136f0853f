package harness

import (
	"encoding/binary"
	"os"
	"path/filepath"
	"testing"
)

// logOf writes a partition's directory: batches of one record each, as (offset, leader epoch, a byte of payload), cut into segments before those offsets.
func logOf(t *testing.T, batches [][3]int, segments ...int) string {
	t.Helper()
	dir := t.TempDir()
	name, text := filepath.Join(dir, "00000000000000000000.log"), []byte(nil)
	flush := func() {
		if err := os.WriteFile(name, text, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	for _, b := range batches {
		for _, s := range segments {
			if s == b[0] {
				flush()
				name, text = filepath.Join(dir, "0000000000000000000"+string(rune('0'+s))+".log"), nil
			}
		}
		batch := make([]byte, 70)
		binary.BigEndian.PutUint64(batch, uint64(b[0]))
		binary.BigEndian.PutUint32(batch[8:], 58)
		binary.BigEndian.PutUint32(batch[12:], uint32(b[1]))
		batch[69] = byte(b[2])
		text = append(text, batch...)
	}
	flush()
	return dir
}

// TestCompareLogs: what is a difference between two replicas, and what is none.
func TestCompareLogs(t *testing.T) {
	whole := [][3]int{{0, 0, 'a'}, {1, 0, 'b'}, {2, 1, 'c'}, {3, 1, 'd'}}
	for _, tc := range []struct {
		name  string
		other [][3]int
		cut   []int // segments of the other
		end   int64
		same  bool
	}{
		{"the same", whole, nil, 4, true},
		{"other segments", whole, []int{2, 3}, 4, true},
		{"the first deleted", whole[1:], nil, 4, true},
		{"shorter, above the watermark", whole[:3], nil, 3, true},
		{"shorter, below the watermark", whole[:3], nil, 4, false},
		{"another byte", [][3]int{{0, 0, 'a'}, {1, 0, 'x'}, {2, 1, 'c'}, {3, 1, 'd'}}, nil, 4, false},
		{"another byte above the watermark", [][3]int{{0, 0, 'a'}, {1, 0, 'b'}, {2, 1, 'c'}, {3, 1, 'x'}}, nil, 3, true},
		{"another epoch", [][3]int{{0, 0, 'a'}, {1, 0, 'b'}, {2, 0, 'c'}, {3, 1, 'd'}}, nil, 4, false},
		{"a hole", [][3]int{{0, 0, 'a'}, {2, 1, 'c'}, {3, 1, 'd'}}, nil, 4, false},
		{"an epoch that falls", [][3]int{{0, 0, 'a'}, {1, 2, 'b'}, {2, 1, 'c'}, {3, 1, 'd'}}, nil, 4, false},
	} {
		err := CompareLogs(logOf(t, whole), logOf(t, tc.other, tc.cut...), tc.end)
		if (err == nil) != tc.same {
			t.Errorf("%s: %v", tc.name, err)
		}
	}
}
