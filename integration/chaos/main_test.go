// Package chaos does harm to a cluster of three brokers and three ZooKeeper servers while clients of two makes use it, and judges what the
// clients saw (package history). Every server has a network namespace of its own on one bridge; every broker's log directory is a file system of
// its own, so that its power can fail.
//
// The tests need root and Linux (iproute2, util-linux, e2fsprogs): the test binary starts itself again in new network, mount and process namespaces. Whatever it makes or starts there
// ends with it, however it ends.
//
// GREGOR_TEST_BROKER=apache runs all of it on Apache Kafka.
package chaos

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"gregor/integration/harness"
	"gregor/integration/stock"
)

var (
	count     = flag.Int("chaos.count", 1, "rounds of each fault")
	only      = flag.String("chaos.faults", "", "faults to do, comma-separated, for example F1,F4 (default: all)")
	firstSeed = flag.Uint64("chaos.seed", 1, "seed of the first round of every fault, which decides what is done to whom; the next ones count up from it")
	protocol  = flag.String("chaos.protocol", "", "inter.broker.protocol.version of the brokers (default: their own)")
	keep      = flag.String("chaos.keep", "", "folder for the histories of rounds that went wrong (default: a temporary folder, which then stays)")
)

// limit is how long whatever must happen may take. It is generous, since a busy machine is no fault of the cluster's; how long things took stands in the
// test's log.
var limit = 2 * time.Minute

func init() {
	flag.DurationVar(&limit, "chaos.limit", limit, "how long the cluster may take to do whatever it must do")
}

// insideEnv says that the process is the one inside the namespaces.
const insideEnv = "GREGOR_CHAOS_INSIDE"

func TestMain(m *testing.M) {
	if os.Getenv(insideEnv) == "" {
		os.Exit(harness.Main(outside{}))
	}
	if err := prepareInside(); err != nil {
		fmt.Fprintln(os.Stderr, "chaos: preparing the namespaces:", err)
		os.Exit(1)
	}
	code := harness.Main(m)
	ending()
	os.Exit(code)
}

// outside runs this very binary in namespaces of its own. What needs the network comes first.
type outside struct{}

func (outside) Run() int {
	code, err := startInside()
	if errors.Is(err, os.ErrPermission) {
		err = fmt.Errorf("these tests need root, to make network, mount and process namespaces: %w", err)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "chaos:", err)
	}
	return code
}

func startInside() (code int, err error) {
	if _, err := stock.Install(context.Background(), harness.ApacheVersion); err != nil {
		return 1, err
	}
	binary := ""
	if harness.DefaultKind() == harness.Gregor {
		if binary, err = harness.GregorBinary(); err != nil {
			return 1, err
		}
	}
	inside := exec.Command("/proc/self/exe", os.Args[1:]...)
	inside.Env = append(os.Environ(), insideEnv+"=1", "GREGOR_BIN="+binary)
	inside.Stdout, inside.Stderr = os.Stdout, os.Stderr
	inside.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags: syscall.CLONE_NEWNET | syscall.CLONE_NEWNS | syscall.CLONE_NEWPID,
		Pdeathsig:  syscall.SIGKILL,
	}
	err = inside.Run()
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		return exit.ExitCode(), nil // it has said why
	}
	if err != nil {
		return 1, err
	}
	return 0, nil
}

// prepareInside makes the mount namespace private, so that nothing mounted here is seen outside or stays, and gives it a /proc of its process namespace
// and an empty folder for network namespaces.
func prepareInside() error {
	if err := syscall.Mount("", "/", "", syscall.MS_REC|syscall.MS_PRIVATE, ""); err != nil {
		return fmt.Errorf("private mounts: %w", err)
	}
	if err := syscall.Mount("proc", "/proc", "proc", 0, ""); err != nil {
		return fmt.Errorf("/proc: %w", err)
	}
	if err := os.MkdirAll("/run/netns", 0o755); err != nil {
		return err
	}
	if err := syscall.Mount("tmpfs", "/run/netns", "tmpfs", 0, "mode=755"); err != nil {
		return fmt.Errorf("/run/netns: %w", err)
	}
	return run("ip", "link", "set", "lo", "up")
}

// run runs a command of the system to its end.
func run(name string, args ...string) error {
	if output, err := exec.Command(name, args...).CombinedOutput(); err != nil {
		return fmt.Errorf("%s %s: %w\n%s", name, strings.Join(args, " "), err, output)
	}
	return nil
}

// selected says whether a fault was asked for.
func selected(name string) bool {
	if *only == "" {
		return true
	}
	for _, one := range strings.Split(*only, ",") {
		if strings.EqualFold(strings.TrimSpace(one), name) {
			return true
		}
	}
	return false
}
