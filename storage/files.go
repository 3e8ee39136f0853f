package storage

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"
)

// syncDir makes the entries of a directory durable: creations, renames and removals.
func syncDir(path string) error {
	d, err := os.Open(path)
	if err != nil {
		return err
	}
	err = d.Sync()
	return errors.Join(err, d.Close())
}

// writeFileAtomic replaces path with data: a temporary file, fsync, rename, fsync of the directory. A reader, or a
// start after a power failure, sees the old content or the new one.
func writeFileAtomic(path string, data []byte) error {
	if err := replaceFile(path, data); err != nil {
		return err
	}
	return syncDir(filepath.Dir(path))
}

// replaceFile is writeFileAtomic without the fsync of the directory, for a caller that sees to it later.
func replaceFile(path string, data []byte) error {
	tmp := path + ".tmp"
	if err := writeFileSync(tmp, data); err != nil {
		return err
	}
	return os.Rename(tmp, path)
}

// replaceFileUnsynced is replaceFile for a caller that syncs the whole file system before it relies on the file.
func replaceFileUnsynced(path string, data []byte) error {
	tmp := path + ".tmp"
	if err := os.WriteFile(tmp, data, 0o644); err != nil {
		return err
	}
	return os.Rename(tmp, path)
}

// syncfsReports tells whether syncfs(2) reports that something could not be written: since Linux 5.8.
var syncfsReports = sync.OnceValue(func() bool {
	var name unix.Utsname
	if unix.Uname(&name) != nil {
		return false
	}
	var major, minor int
	n, _ := fmt.Sscanf(unix.ByteSliceToString(name.Release[:]), "%d.%d", &major, &minor)
	return n == 2 && (major > 5 || major == 5 && minor >= 8)
})

func writeFileSync(path string, data []byte) error {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	if err == nil {
		err = f.Sync()
	}
	return errors.Join(err, f.Close())
}

// syncFile makes a file that was written earlier durable. One that has been removed since needs nothing.
func syncFile(path string) error {
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	err = f.Sync()
	return errors.Join(err, f.Close())
}

// removeIfExists removes a file; that it is not there is no error.
func removeIfExists(path string) error {
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// isEnvironment reports whether err is the disk's or the system's, not the content's: such an error takes the
// directory offline, while damaged content is repaired or refused file by file.
func isEnvironment(err error) bool {
	var errno syscall.Errno
	return errors.As(err, &errno) && errno != syscall.ENOENT
}

// maxSmallFile bounds what is read whole into memory: checkpoints, snapshots, metadata.
const maxSmallFile = 256 << 20

var errFileTooLarge = errors.New("file is too large to be what its name says")

// readSmallFile reads a whole file of bounded size.
func readSmallFile(path string) ([]byte, error) {
	if st, err := os.Stat(path); err == nil && st.Size() > maxSmallFile {
		return nil, &fs.PathError{Op: "read", Path: path, Err: errFileTooLarge}
	}
	return os.ReadFile(path)
}
