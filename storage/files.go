package storage

import (
	"errors"
	"fmt"
	"io"
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

// readSmallFile reads a whole file of bounded size. A start reads several for each of thousands of logs, so it asks the system for nothing that os.File would
// want besides: no poller, no blocking mode.
func readSmallFile(path string) ([]byte, error) {
	f, err := openRaw(path, readUnnoted)
	if err != nil {
		return nil, err
	}
	defer f.close()
	size, err := f.size()
	if err != nil {
		return nil, err
	}
	if size > maxSmallFile {
		return nil, &fs.PathError{Op: "read", Path: path, Err: errFileTooLarge}
	}
	data := make([]byte, size)
	n, err := f.ReadAt(data, 0)
	if err == io.EOF { // it has become shorter meanwhile
		err = nil
	}
	return data[:n], err
}

// openFile is os.OpenFile for a regular file, which never waits in the poller: it spares the calls that would find that out.
func openFile(path string, flags int) (*os.File, error) {
	f, err := openRaw(path, flags)
	if err != nil {
		return nil, err
	}
	return os.NewFile(uintptr(f.fd), path), nil
}

// rawFile is a file that is open for a few reads only.
type rawFile struct {
	fd   int
	path string
}

// readUnnoted opens for reading without the time of access being noted, as far as the file's owner allows it: a start looks into thousands of directories,
// and the file system would write each of them.
const readUnnoted = unix.O_RDONLY | unix.O_NOATIME

// openRaw opens a file, or a directory. Errors are *fs.PathError, as os.Open's.
func openRaw(path string, flags int) (rawFile, error) {
	for {
		fd, err := unix.Open(path, flags|unix.O_CLOEXEC, 0o644)
		switch {
		case err == nil:
			return rawFile{fd, path}, nil
		case err == unix.EINTR:
		case err == unix.EPERM && flags&unix.O_NOATIME != 0: // the file is another user's
			flags &^= unix.O_NOATIME
		default:
			return rawFile{}, &fs.PathError{Op: "open", Path: path, Err: err}
		}
	}
}

func (f rawFile) close() { unix.Close(f.fd) } // nothing was written that it could fail to write

func (f rawFile) size() (int64, error) {
	var st unix.Stat_t
	if err := unix.Fstat(f.fd, &st); err != nil {
		return 0, &fs.PathError{Op: "stat", Path: f.path, Err: err}
	}
	return st.Size, nil
}

// ReadAt is io.ReaderAt.
func (f rawFile) ReadAt(b []byte, at int64) (read int, err error) {
	for read < len(b) {
		n, err := unix.Pread(f.fd, b[read:], at+int64(read))
		switch {
		case err == unix.EINTR:
		case err != nil:
			return read, &fs.PathError{Op: "read", Path: f.path, Err: err}
		case n == 0:
			return read, io.EOF
		default:
			read += n
		}
	}
	return read, nil
}

// dirBuffer holds the entries of most directories of logs.
const dirBuffer = 8 << 10

var dirBuffers = sync.Pool{New: func() any { return new([dirBuffer]byte) }}

// readDirNames lists a directory, in no order.
func readDirNames(path string) (names []string, err error) {
	d, err := openRaw(path, readUnnoted|unix.O_DIRECTORY)
	if err != nil {
		return nil, err
	}
	defer d.close()
	buf := dirBuffers.Get().(*[dirBuffer]byte)
	defer dirBuffers.Put(buf)
	for {
		n, err := unix.ReadDirent(d.fd, buf[:])
		switch {
		case err == unix.EINTR:
			continue
		case err != nil:
			return nil, &fs.PathError{Op: "readdirent", Path: path, Err: err}
		case n == 0:
			return names, nil
		}
		_, _, names = unix.ParseDirent(buf[:n], -1, names)
	}
}
