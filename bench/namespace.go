package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// inNamespaceEnv marks the process that already runs in a network namespace of its own.
const inNamespaceEnv = "GREGOR_BENCH_IN_NAMESPACE"

// withCongestionControl runs the whole bench again in a network namespace of its own, where the kernel's congestion control is the first of those named that
// it lets a namespace have, for all brokers alike: over loopback some of them (bbr, which paces by timers) cost more than everything that a broker does.
// done is false in the inner process, and where namespaces need a privilege that we lack: then the bench runs as it is, and its conditions say so.
func withCongestionControl(controls string) (done bool, err error) {
	if os.Getenv(inNamespaceEnv) != "" {
		return false, enterNamespace(strings.Split(controls, ","))
	}
	if os.Geteuid() != 0 {
		fmt.Fprintln(os.Stderr, "bench: without root, the machine's own congestion control stays")
		return false, nil
	}
	again := exec.Command("/proc/self/exe", os.Args[1:]...)
	again.Env = append(os.Environ(), inNamespaceEnv+"=1")
	again.Stdin, again.Stdout, again.Stderr = os.Stdin, os.Stdout, os.Stderr
	again.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET, Pdeathsig: syscall.SIGTERM}
	if err := again.Run(); err != nil {
		return true, fmt.Errorf("in a network namespace: %w", err)
	}
	return true, nil
}

// enterNamespace brings the namespace's loopback up and sets its congestion control.
func enterNamespace(controls []string) error {
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
	var refused error
	for _, name := range controls {
		err := os.WriteFile("/proc/sys/net/ipv4/tcp_congestion_control", []byte(name), 0o644)
		if err == nil {
			return nil
		}
		refused = errors.Join(refused, fmt.Errorf("congestion control %s: %w", name, err))
	}
	return refused
}
