package harness

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"gregor/integration/stock"
)

var exits struct {
	sync.Mutex
	steps []func()
}

// atExit has Main run step at the end.
func atExit(step func()) {
	exits.Lock()
	defer exits.Unlock()
	exits.steps = append(exits.steps, step)
}

// Main runs a package's tests and then ends what they shared. Every TestMain that uses this package is:
//
//	func TestMain(m *testing.M) { os.Exit(harness.Main(m)) }
func Main(m interface{ Run() int }) int {
	code := m.Run()
	exits.Lock()
	defer exits.Unlock()
	for _, step := range slices.Backward(exits.steps) {
		step()
	}
	return code
}

var sharedZooKeeper = sync.OnceValues(func() (*ZooKeeper, error) {
	dir, err := os.MkdirTemp("", "gregor-test-zookeeper-")
	if err != nil {
		return nil, err
	}
	atExit(func() { os.RemoveAll(dir) })
	z, err := startZooKeeper(dir, defaultTickMs)
	if err == nil {
		atExit(z.proc.kill)
	}
	return z, err
})

// SharedZooKeeper is one server for the whole package, for tests that need no more of it than a Chroot.
func SharedZooKeeper(t testing.TB) *ZooKeeper {
	t.Helper()
	z, err := sharedZooKeeper()
	if err != nil {
		t.Fatal(err)
	}
	return z
}

// toolTimeout bounds one run of one tool.
const toolTimeout = 90 * time.Second

var tools struct {
	sync.Mutex
	servers map[string]*stock.ToolServer
}

func toolServer(version string) (*stock.ToolServer, error) {
	tools.Lock()
	defer tools.Unlock()
	if server, ok := tools.servers[version]; ok {
		return server, nil
	}
	release, err := stock.Install(context.Background(), version)
	if err != nil {
		return nil, err
	}
	if tools.servers == nil {
		tools.servers = map[string]*stock.ToolServer{}
	}
	server := release.NewToolServer()
	tools.servers[version] = server
	atExit(server.Close)
	return server, nil
}

// RunTool runs a stock tool of that Kafka version to its end, in a JVM that the package's tests share.
func RunTool(t testing.TB, version, stdin, tool string, args ...string) stock.Result {
	t.Helper()
	server, err := toolServer(version)
	if err != nil {
		t.Fatal(err)
	}
	result, err := server.Run(toolTimeout, stdin, tool, args...)
	if err != nil {
		t.Fatal(err)
	}
	return result
}

// EndTools ends the JVM that RunTool shares for a version; the next run starts another. For tools that leave threads behind.
func EndTools(t testing.TB, version string) {
	t.Helper()
	server, err := toolServer(version)
	if err != nil {
		t.Fatal(err)
	}
	server.Close()
}

// Tool runs a stock tool of Kafka 3.9.2 that must succeed, and returns its standard output.
func Tool(t testing.TB, stdin, tool string, args ...string) string {
	t.Helper()
	result, err := TryTool(stdin, tool, args...)
	if err != nil {
		t.Fatal(err)
	}
	return result.Stdout
}

// TryTool is Tool that returns an error instead of failing the test.
func TryTool(stdin, tool string, args ...string) (stock.Result, error) {
	server, err := toolServer(ApacheVersion)
	if err != nil {
		return stock.Result{}, err
	}
	result, err := server.Run(toolTimeout, stdin, tool, args...)
	if err == nil && result.ExitCode != 0 {
		err = fmt.Errorf("%s %s: exit code %d\n%s%s", tool, strings.Join(args, " "), result.ExitCode, result.Stdout, result.Stderr)
	}
	return result, err
}

// StartTool starts a stock tool in a process of its own, for tools that run until they are ended.
func StartTool(t testing.TB, version, tool string, args ...string) *ToolProcess {
	t.Helper()
	release, err := stock.Install(context.Background(), version)
	if err != nil {
		t.Fatal(err)
	}
	cmd, err := release.Command(context.Background(), stock.JVM{Heap: "128M", Options: []string{"-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1"}}, tool, args...)
	if err != nil {
		t.Fatal(err)
	}
	proc, err := startProcess(cmd)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(proc.kill)
	return &ToolProcess{t: t, name: tool, proc: proc}
}
