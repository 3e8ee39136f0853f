package chaos

import (
	"fmt"
	"os"
	"syscall"
	"unsafe"
)

// A disk is a file with an ext4 file system in it, mounted for one broker.
type disk struct{ image, dir string }

// makeDisk makes and mounts one. It writes nothing back by itself for minutes: what is not synced is lost when the power fails.
func makeDisk(image, dir string) (disk, error) {
	d := disk{image, dir}
	file, err := os.Create(image)
	if err != nil {
		return d, err
	}
	if err := file.Truncate(1 << 30); err != nil {
		return d, err
	}
	if err := file.Close(); err != nil {
		return d, err
	}
	if err := run("mkfs.ext4", "-q", "-E", "lazy_itable_init=1,lazy_journal_init=1,nodiscard", image); err != nil {
		return d, err
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return d, err
	}
	return d, d.mount()
}

func (d disk) mount() error {
	return run("mount", "-o", "loop,commit=300,noatime", d.image, d.dir)
}

func (d disk) unmount() error { return syscall.Unmount(d.dir, 0) }

// powerFails cuts the file system off from its disk at once, the journal included: from now on every write fails, and after unmount and mount
// there is only what had been synced.
func (d disk) powerFails() error {
	const shutdown, noLogFlush = 0x8004587d, uint32(2) // EXT4_IOC_SHUTDOWN, EXT4_GOING_FLAGS_NOLOGFLUSH
	dir, err := os.Open(d.dir)
	if err != nil {
		return err
	}
	defer dir.Close()
	flags := noLogFlush
	if _, _, errno := syscall.Syscall(syscall.SYS_IOCTL, dir.Fd(), shutdown, uintptr(unsafe.Pointer(&flags))); errno != 0 {
		return fmt.Errorf("shutting down the file system of %s: %w", d.dir, errno)
	}
	return nil
}
