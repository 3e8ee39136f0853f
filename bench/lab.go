package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// kind is a program that is measured: the two that are compared, and what shows how far down one can go (bare.go, floor.go).
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
	filled    int64 // where in the filler the next fill begins
	discarded []string
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

// install fetches what the bench needs, while there is a network: in a namespace of its own there is none.
func install() error {
	if os.Getenv(inNamespaceEnv) != "" {
		return nil
	}
	root, err := output(context.Background(), "", "go", "list", "-m", "-f", "{{.Dir}}")
	if err != nil {
		return err
	}
	if _, err := output(context.Background(), filepath.Join(root, "integration"), "go", "run", "./cmd/stock", "install", kafkaVersion); err != nil {
		return err
	}
	_, err = output(context.Background(), root, "go", "build", "-o", os.DevNull, "./cmd/gregor")
	return err
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
	l.zk, err = l.java([]string{"-Xmx1G"}, "org.apache.zookeeper.server.quorum.QuorumPeerMain", filepath.Join(l.dir, "zookeeper.log"), file)
	if err != nil {
		return err
	}
	return await(ctx, 30*time.Second, func() error {
		if text, err := l.zooKeeperSays("srvr"); err != nil || !strings.Contains(text, "Mode: ") { // ruok is answered before sessions are
			return fmt.Errorf("ZooKeeper is not up: %q, %w", text, err)
		}
		return nil
	})
}

// zooKeeperSays sends one of ZooKeeper's four letter commands.
func (l *lab) zooKeeperSays(command string) (string, error) {
	c, err := net.DialTimeout("tcp", l.zkAddr, time.Second)
	if err != nil {
		return "", err
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(10 * time.Second))
	if _, err := io.WriteString(c, command); err != nil {
		return "", err
	}
	text, err := io.ReadAll(c)
	return string(text), err
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
		if late := sleep(ctx, time.Millisecond); late != nil {
			return errors.Join(err, late)
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

// coldMemory is the share of memory that may be free when a measurement begins: what the kernel hands out of it first may be memory that the host has yet to find.
const coldMemory = 0.02

// fill reads the filler, so that all brokers begin alike: on from where it stopped the last time, until
// next to no memory is free or all of the filler has been read.
func (l *lab) fill(ctx context.Context) error {
	if l.filler == "" {
		return nil
	}
	f, err := os.Open(l.filler)
	if err != nil {
		return err
	}
	defer f.Close()
	st, err := f.Stat()
	if err != nil {
		return err
	}
	buf := make([]byte, 16<<20)
	for read := int64(0); read < st.Size() && ctx.Err() == nil; {
		if share, err := freeMemory(); err != nil || share < coldMemory {
			return err
		}
		n, err := f.ReadAt(buf, l.filled)
		if err != nil && err != io.EOF {
			return err
		}
		read += int64(n)
		if l.filled += int64(n); l.filled >= st.Size() {
			l.filled = 0
		}
	}
	return ctx.Err()
}

// freeMemory is the share of the memory that nothing uses, not even the page cache.
func freeMemory() (float64, error) {
	var info unix.Sysinfo_t
	err := unix.Sysinfo(&info)
	return float64(info.Freeram) / float64(info.Totalram), err
}

func (l *lab) close() {
	if l.zk != nil && l.zk.Process != nil {
		l.zk.Process.Kill()
		l.zk.Wait()
	}
	for _, dir := range l.discarded {
		os.RemoveAll(dir)
	}
	if l.own {
		os.RemoveAll(l.dir)
	}
}

// discard gives the space below a directory back. The small files stay until the end of the run: ext4 looks at each inode that was freed in the last
// minutes before it takes another one (recently_deleted), so that whoever makes thousands of files after thousands of others were deleted pays for those.
func (l *lab) discard(dir string) {
	const small = 64 << 10
	l.discarded = append(l.discarded, dir)
	filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return nil
		}
		var st unix.Stat_t
		if unix.Lstat(path, &st) == nil && st.Blocks*512 > small {
			os.Truncate(path, 0)
		}
		return nil
	})
}
