package storage

import (
	"path/filepath"
	"runtime"
	"testing"

	"golang.org/x/sys/unix"
)

// TestReadsOfAnother: only a file's owner may read it without a note of the time; everybody else must be able to read it nevertheless.
func TestReadsOfAnother(t *testing.T) {
	const passwd, nobody = "/etc/passwd", 65534
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	if me := unix.Getuid(); me == 0 {
		if err := unix.Setfsuid(nobody); err != nil {
			t.Fatal(err)
		}
		defer unix.Setfsuid(me)
	}
	if fd, err := unix.Open(passwd, readUnnoted, 0); err != unix.EPERM {
		unix.Close(fd)
		t.Fatalf("the file is ours: %v", err)
	}
	if data, err := readSmallFile(passwd); err != nil || len(data) == 0 {
		t.Errorf("%d bytes, %v", len(data), err)
	}
	if names, err := readDirNames(filepath.Dir(passwd)); err != nil || len(names) == 0 {
		t.Errorf("%d names, %v", len(names), err)
	}
}
