package main

import (
	"fmt"
	"os"
	"os/exec"
	"syscall"

	"golang.org/x/sys/unix"
)

// inNamespaceEnv marks the process that already runs in a network namespace of its own.
const inNamespaceEnv = "GREGOR_BENCH_IN_NAMESPACE"

// withCongestionControl runs the whole bench again in a network namespace of its own, where the kernel's congestion control is the one asked for, for both
// brokers alike: over loopback some of them (bbr) cost more than everything that a broker does. It needs root. done is false in the inner process.
func withCongestionControl(name string) (done bool, err error) {
	if os.Getenv(inNamespaceEnv) != "" {
		return false, enterNamespace(name)
	}
	again := exec.Command("/proc/self/exe", os.Args[1:]...)
	again.Env = append(os.Environ(), inNamespaceEnv+"=1")
	again.Stdin, again.Stdout, again.Stderr = os.Stdin, os.Stdout, os.Stderr
	again.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET, Pdeathsig: syscall.SIGTERM}
	if err := again.Run(); err != nil {
		return true, fmt.Errorf("in a network namespace with congestion control %s: %w", name, err)
	}
	return true, nil
}

// enterNamespace brings the namespace's loopback up and sets its congestion control.
func enterNamespace(name string) error {
	s, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM, 0)
	if err != nil {
		return err
	}
	defer unix.Close(s)
	lo, err := unix.NewIfreq("lo")
	if err != nil {
		return err
	}
	lo.SetUint16(unix.IFF_UP | unix.IFF_RUNNING)
	if err := unix.IoctlIfreq(s, unix.SIOCSIFFLAGS, lo); err != nil {
		return fmt.Errorf("bringing loopback up: %w", err)
	}
	return os.WriteFile("/proc/sys/net/ipv4/tcp_congestion_control", []byte(name), 0o644)
}
