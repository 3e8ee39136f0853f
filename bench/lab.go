package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// kind is one of the two programs that are compared.
type kind string

const (
	apache kind = "apache"
	gregor kind = "gregor"
)

// kafkaVersion is the release that gregor is compared with.
const kafkaVersion = "3.9.2"

// heap is what Kafka's start script gives a broker.
var heap = []string{"-Xms1G", "-Xmx1G", "-server", "-XX:+UseG1GC", "-XX:MaxGCPauseMillis=20", "-XX:InitiatingHeapOccupancyPercent=35",
	"-XX:+ExplicitGCInvokesConcurrent", "-XX:MaxInlineLevel=15", "-Djava.awt.headless=true"}

// lab holds what all sessions share: a ZooKeeper, the two programs, a folder.
type lab struct {
	dir       string
	own       bool   // dir is ours to delete
	classPath string // of Kafka and ZooKeeper
	log4j     string
	gregor    string // the binary
	zk        *exec.Cmd
	zkAddr    string
	started   int // brokers so far: each gets a part of ZooKeeper's tree of its own
	filler    string
}

func newLab(ctx context.Context, o options) (*lab, error) {
	l := &lab{dir: o.dir}
	if l.dir == "" {
		dir, err := os.MkdirTemp("", "gregor-bench-")
		if err != nil {
			return nil, err
		}
		l.dir, l.own = dir, true
	}
	if err := l.prepare(ctx, o); err != nil {
		l.close()
		return nil, err
	}
	return l, nil
}

func (l *lab) prepare(ctx context.Context, o options) error {
	root, err := output(ctx, "", "go", "list", "-m", "-f", "{{.Dir}}")
	if err != nil {
		return err
	}
	if l.classPath, err = output(ctx, filepath.Join(root, "integration"), "go", "run", "./cmd/stock", kafkaVersion, "classpath"); err != nil {
		return err
	}
	l.gregor = filepath.Join(l.dir, "gregor")
	build := exec.CommandContext(ctx, "go", "build", "-trimpath", "-o", l.gregor, "./cmd/gregor")
	build.Dir, build.Env, build.Stderr = root, append(os.Environ(), "CGO_ENABLED=0"), os.Stderr
	if err := build.Run(); err != nil {
		return fmt.Errorf("build gregor: %w", err)
	}
	l.log4j = filepath.Join(l.dir, "log4j.properties")
	const log4j = "log4j.rootLogger=INFO, stdout\nlog4j.appender.stdout=org.apache.log4j.ConsoleAppender\n" +
		"log4j.appender.stdout.layout=org.apache.log4j.PatternLayout\nlog4j.appender.stdout.layout.ConversionPattern=[%d] %p %m (%c)%n\n"
	if err := os.WriteFile(l.log4j, []byte(log4j), 0o600); err != nil {
		return err
	}
	if err := l.startZooKeeper(ctx); err != nil {
		return err
	}
	return l.writeFiller(o.fillGB)
}

func output(ctx context.Context, dir, name string, args ...string) (string, error) {
	c := exec.CommandContext(ctx, name, args...)
	c.Dir, c.Stderr = dir, os.Stderr
	out, err := c.Output()
	if err != nil {
		return "", fmt.Errorf("%s %s: %w", name, strings.Join(args, " "), err)
	}
	return strings.TrimSpace(string(out)), nil
}

func freePort() (int, error) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	defer ln.Close()
	return ln.Addr().(*net.TCPAddr).Port, nil
}

// java is a process of a main class; its output goes to a file.
func (l *lab) java(options []string, class, logFile string, args ...string) (*exec.Cmd, error) {
	args = append(append(options, "-Dlog4j.configuration=file:"+l.log4j, "-cp", l.classPath, class), args...)
	return l.command(logFile, "java", args...)
}

func (l *lab) command(logFile, name string, args ...string) (*exec.Cmd, error) {
	f, err := os.Create(logFile)
	if err != nil {
		return nil, err
	}
	defer f.Close() // the child has its own descriptor once it runs
	c := exec.Command(name, args...)
	c.Stdout, c.Stderr = f, f
	c.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Setpgid: true}
	return c, c.Start()
}

func (l *lab) startZooKeeper(ctx context.Context) error {
	port, err := freePort()
	if err != nil {
		return err
	}
	l.zkAddr = fmt.Sprintf("127.0.0.1:%d", port)
	file := filepath.Join(l.dir, "zookeeper.properties")
	text := fmt.Sprintf("dataDir=%s\nclientPort=%d\nclientPortAddress=127.0.0.1\nmaxClientCnxns=0\nadmin.enableServer=false\n4lw.commands.whitelist=*\n",
		filepath.Join(l.dir, "zookeeper"), port)
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		return err
	}
	l.zk, err = l.java([]string{"-Xmx256M"}, "org.apache.zookeeper.server.quorum.QuorumPeerMain", filepath.Join(l.dir, "zookeeper.log"), file)
	if err != nil {
		return err
	}
	return await(ctx, 30*time.Second, func() error {
		c, err := net.DialTimeout("tcp", l.zkAddr, time.Second)
		if err != nil {
			return err
		}
		defer c.Close()
		c.SetDeadline(time.Now().Add(time.Second))
		io.WriteString(c, "ruok")
		if b, _ := io.ReadAll(c); string(b) != "imok" {
			return fmt.Errorf("ZooKeeper is not up: %q", b)
		}
		return nil
	})
}

// await calls f until it succeeds, every millisecond: start-up times are measured with it.
func await(ctx context.Context, limit time.Duration, f func() error) error {
	for deadline := time.Now().Add(limit); ; {
		err := f()
		if err == nil {
			return nil
		}
		if time.Now().After(deadline) {
			return err
		}
		if err := sleep(ctx, time.Millisecond); err != nil {
			return err
		}
	}
}

// writeFiller makes the file that keeps the page cache supplied with pages which the host has already backed.
func (l *lab) writeFiller(gib int) error {
	if gib == 0 {
		return nil
	}
	l.filler = filepath.Join(l.dir, "filler")
	f, err := os.Create(l.filler)
	if err != nil {
		return err
	}
	chunk := make([]byte, 1<<20)
	for range gib << 10 {
		if _, err := f.Write(chunk); err != nil {
			return errors.Join(err, f.Close())
		}
	}
	return errors.Join(f.Sync(), f.Close())
}

// fill reads the filler, so that every session begins with the same page cache.
func (l *lab) fill(ctx context.Context) error {
	if l.filler == "" {
		return nil
	}
	f, err := os.Open(l.filler)
	if err != nil {
		return err
	}
	defer f.Close()
	buf := make([]byte, 1<<20)
	for ctx.Err() == nil {
		if _, err := f.Read(buf); err == io.EOF {
			return nil
		} else if err != nil {
			return err
		}
	}
	return ctx.Err()
}

func (l *lab) close() {
	if l.zk != nil && l.zk.Process != nil {
		l.zk.Process.Kill()
		l.zk.Wait()
	}
	if l.own {
		os.RemoveAll(l.dir)
	}
}

// broker is one running broker.
type broker struct {
	kind     kind
	addr     string
	dir      string
	cmd      *exec.Cmd
	produced map[string]bool // topics that hold a sample
	stopped  bool
}

// stockProperties are those of the server.properties that Kafka ships, and replication factors that one broker can serve.
const stockProperties = "num.network.threads=3\nnum.io.threads=8\nsocket.send.buffer.bytes=102400\nsocket.receive.buffer.bytes=102400\n" +
	"socket.request.max.bytes=104857600\nnum.partitions=1\nnum.recovery.threads.per.data.dir=1\noffsets.topic.replication.factor=1\n" +
	"transaction.state.log.replication.factor=1\ntransaction.state.log.min.isr=1\nlog.retention.hours=168\nlog.retention.check.interval.ms=300000\n" +
	"zookeeper.connection.timeout.ms=18000\ngroup.initial.rebalance.delay.ms=0\n"

// start runs a broker alone, on an empty directory and an empty part of ZooKeeper's tree.
func (l *lab) start(ctx context.Context, k kind) (*broker, time.Duration, error) {
	return l.startIn(ctx, k, fmt.Sprintf("bench-%d", l.started+1), "broker.id=0\n")
}

// startIn makes a broker on an empty directory and runs it as run does. The settings are lines of server.properties.
func (l *lab) startIn(ctx context.Context, k kind, chroot, settings string) (*broker, time.Duration, error) {
	port, err := freePort()
	if err != nil {
		return nil, 0, err
	}
	l.started++
	b := &broker{kind: k, addr: fmt.Sprintf("127.0.0.1:%d", port), dir: filepath.Join(l.dir, fmt.Sprintf("broker-%d", l.started)), produced: map[string]bool{}}
	if err := os.Mkdir(b.dir, 0o700); err != nil {
		return nil, 0, err
	}
	text := stockProperties + settings + fmt.Sprintf("listeners=PLAINTEXT://%s\nlog.dirs=%s\nzookeeper.connect=%s/%s\n", b.addr, filepath.Join(b.dir, "logs"), l.zkAddr, chroot)
	if err := os.WriteFile(b.properties(), []byte(text), 0o600); err != nil {
		return nil, 0, err
	}
	took, err := l.run(ctx, b)
	return b, took, err
}

func (b *broker) properties() string { return filepath.Join(b.dir, "server.properties") }

// run runs a broker and returns when it has answered an ApiVersions request, with the time from exec to that answer.
func (l *lab) run(ctx context.Context, b *broker) (took time.Duration, err error) {
	begun := time.Now()
	logFile := filepath.Join(b.dir, "broker.log")
	if b.kind == apache {
		b.cmd, err = l.java(append([]string(nil), heap...), "kafka.Kafka", logFile, b.properties())
	} else {
		b.cmd, err = l.command(logFile, l.gregor, "server", b.properties())
	}
	if err != nil {
		return 0, err
	}
	if err := await(ctx, 120*time.Second, b.answers); err != nil {
		text, _ := os.ReadFile(logFile)
		b.stop()
		return 0, fmt.Errorf("broker does not answer: %w\n%s", err, text[max(0, len(text)-2000):])
	}
	return time.Since(begun), nil
}

// stop ends the broker with SIGTERM, or SIGKILL after half a minute, and deletes what it wrote.
func (b *broker) stop() error {
	if b.stopped {
		return nil
	}
	b.stopped = true
	b.end(30 * time.Second)
	return os.RemoveAll(b.dir)
}

// end stops the process with SIGTERM, or SIGKILL after patience, and keeps its files.
func (b *broker) end(patience time.Duration) {
	b.cmd.Process.Signal(syscall.SIGTERM)
	late := time.AfterFunc(patience, func() { b.cmd.Process.Kill() })
	defer late.Stop()
	b.cmd.Wait() // Java ends with 143 after SIGTERM: the code says nothing
}

// ticksPerSecond is the unit of /proc/PID/stat; Linux shows 100 to every program.
const ticksPerSecond = 100

// cpu returns the CPU time that the broker's process has used, user and system, in seconds.
func (b *broker) cpu() float64 {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", b.cmd.Process.Pid))
	if err != nil {
		return 0
	}
	_, rest, _ := strings.Cut(string(text), ") ") // the name before it may hold blanks
	fields := strings.Fields(rest)
	user, _ := strconv.ParseFloat(fields[11], 64)
	system, _ := strconv.ParseFloat(fields[12], 64)
	return (user + system) / ticksPerSecond
}

// rss returns the resident memory of the broker's process in bytes.
func (b *broker) rss() int64 {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/statm", b.cmd.Process.Pid))
	if err != nil {
		return 0
	}
	pages, _ := strconv.ParseInt(strings.Fields(string(text))[1], 10, 64)
	return pages * int64(os.Getpagesize())
}
