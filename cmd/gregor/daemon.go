package main

import (
	"cmp"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"syscall"
)

// daemon starts gregor server again without -daemon, in a session of its own and with its output in a file, as
// kafka-server-start.sh -daemon does.
func daemon(args []string) error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	dir := cmp.Or(os.Getenv("LOG_DIR"), "logs")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	out, err := os.Create(filepath.Join(dir, "kafkaServer.out"))
	if err != nil {
		return err
	}
	defer out.Close()
	args = slices.DeleteFunc(slices.Clone(args), func(arg string) bool { return arg == "-daemon" })
	child := exec.Command(self, append([]string{"server"}, args...)...)
	child.Stdout, child.Stderr = out, out
	child.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := child.Start(); err != nil {
		return fmt.Errorf("starting in the background: %w", err)
	}
	return child.Process.Release()
}
