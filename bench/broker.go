package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"gregor/bench/load"
)

// broker is one running broker.
type broker struct {
	lab     *lab
	kind    kind
	addr    string
	dir     string
	cmd     *exec.Cmd
	stopped bool
}

// stockProperties are those of the server.properties that Kafka ships, and replication factors that one broker can serve.
const stockProperties = "num.network.threads=3\nnum.io.threads=8\nsocket.send.buffer.bytes=102400\nsocket.receive.buffer.bytes=102400\n" +
	"socket.request.max.bytes=104857600\nnum.partitions=1\nnum.recovery.threads.per.data.dir=1\noffsets.topic.replication.factor=1\n" +
	"transaction.state.log.replication.factor=1\ntransaction.state.log.min.isr=1\nlog.retention.hours=168\nlog.retention.check.interval.ms=300000\n" +
	"zookeeper.connection.timeout.ms=18000\ngroup.initial.rebalance.delay.ms=0\n"

// start runs a broker alone, on an empty directory and an empty part of ZooKeeper's tree. The settings are further lines of server.properties. It
// returns the time from exec to the first answer, too.
func (l *lab) start(ctx context.Context, k kind, settings string) (*broker, time.Duration, error) {
	return l.startIn(ctx, k, fmt.Sprintf("bench-%d", l.started+1), "broker.id=0\n"+settings)
}

// startIn makes a broker on an empty directory and runs it as run does.
func (l *lab) startIn(ctx context.Context, k kind, chroot, settings string) (*broker, time.Duration, error) {
	port, err := freePort()
	if err != nil {
		return nil, 0, err
	}
	l.started++
	b := &broker{lab: l, kind: k, addr: fmt.Sprintf("127.0.0.1:%d", port), dir: filepath.Join(l.dir, fmt.Sprintf("broker-%d", l.started))}
	if err := os.Mkdir(b.dir, 0o700); err != nil {
		return nil, 0, err
	}
	text := stockProperties + settings + fmt.Sprintf("listeners=PLAINTEXT://%s\nlog.dirs=%s\nzookeeper.connect=%s/%s\n", b.addr, b.logs(), l.zkAddr, chroot)
	if err := os.WriteFile(b.properties(), []byte(text), 0o600); err != nil {
		return nil, 0, err
	}
	took, err := l.run(ctx, b)
	return b, took, err
}

func (b *broker) properties() string { return filepath.Join(b.dir, "server.properties") }

func (b *broker) logs() string { return filepath.Join(b.dir, "logs") }

// run runs a broker and returns when it has answered an ApiVersions request, with the time from exec to that answer.
func (l *lab) run(ctx context.Context, b *broker) (took time.Duration, err error) {
	begun := time.Now()
	logFile := filepath.Join(b.dir, "broker.log")
	switch b.kind {
	case apache:
		b.cmd, err = l.java(append([]string(nil), heap...), "kafka.Kafka", logFile, b.properties())
	case gregor:
		b.cmd, err = l.command(logFile, l.gregor, "server", b.properties())
	default:
		b.cmd, err = l.bare(b, logFile)
	}
	if err != nil {
		return 0, err
	}
	exited := make(chan struct{})
	watch, cancel := context.WithCancel(ctx)
	defer cancel()
	go func() {
		defer close(exited)
		for watch.Err() == nil && !b.gone() {
			sleep(watch, 10*time.Millisecond)
		}
		cancel() // whoever waits for a broker that has died waits in vain
	}()
	err = await(watch, 5*time.Minute, func() error { return b.answers(watch) })
	took = time.Since(begun)
	cancel()
	<-exited
	if err != nil {
		if b.gone() {
			err = errors.New("it has ended")
		}
		text, _ := os.ReadFile(logFile)
		b.stop()
		return 0, fmt.Errorf("broker does not answer: %w\n%s", err, text[max(0, len(text)-1000):])
	}
	return took, nil
}

// gone says whether the process has ended; nobody has waited for it yet.
func (b *broker) gone() bool {
	fields := statOf(b.proc())
	return len(fields) == 0 || fields[0] == "Z"
}

// deadly are words of the line in which a broker says why it ends.
var deadly = regexp.MustCompile(`FATAL|OutOfMemoryError|Halting|panic:|fatal error`)

// lastWords is the first line in which a broker that has ended by itself said why, or the last one of its log.
func (b *broker) lastWords() string {
	text, err := os.ReadFile(filepath.Join(b.dir, "broker.log"))
	if err != nil || !b.gone() {
		return ""
	}
	last := ""
	for line := range strings.Lines(string(text)) {
		if last = strings.TrimSpace(line); deadly.MatchString(last) {
			break
		}
	}
	return last
}

// stop ends the broker with SIGTERM, or SIGKILL after half a minute, and throws away what it wrote.
func (b *broker) stop() {
	if b.stopped {
		return
	}
	b.stopped = true
	b.end(30 * time.Second)
	b.lab.discard(b.dir)
}

// end stops the process with SIGTERM, or SIGKILL after patience, and keeps its files. It says whether SIGTERM was enough.
func (b *broker) end(patience time.Duration) (clean bool) {
	b.cmd.Process.Signal(syscall.SIGTERM)
	late := time.AfterFunc(patience, func() { b.cmd.Process.Kill() })
	b.cmd.Wait() // Java ends with 143 after SIGTERM: the code says nothing
	return late.Stop()
}

// kill ends the process as kill -9 does, and keeps its files.
func (b *broker) kill() {
	b.cmd.Process.Kill()
	b.cmd.Wait()
}

// ticksPerSecond is the unit of /proc/PID/stat; Linux shows 100 to every program.
const ticksPerSecond = 100

func (b *broker) proc() string { return fmt.Sprintf("/proc/%d", b.cmd.Process.Pid) }

// cpu returns the CPU time that the broker's process has used, user and system, in seconds.
func (b *broker) cpu() float64 { return cpuOf(statOf(b.proc())) }

// rss returns the resident memory of the broker's process in MB (10^6 bytes).
func (b *broker) rss() float64 {
	text, err := os.ReadFile(b.proc() + "/statm")
	if err != nil {
		return 0
	}
	pages, _ := strconv.ParseInt(strings.Fields(string(text))[1], 10, 64)
	return float64(pages*int64(os.Getpagesize())) / 1e6
}

// descriptors is how many files a broker's process has open.
func (b *broker) descriptors() int {
	entries, err := os.ReadDir(b.proc() + "/fd")
	if err != nil {
		return 0
	}
	return len(entries)
}

// ask sends a request on a connection of its own.
func (b *broker) ask(ctx context.Context, r kmsg.Request) (kmsg.Response, error) {
	return load.Ask(ctx, b.addr, r, 20*time.Second)
}

func (b *broker) answers(ctx context.Context) error {
	resp, err := b.ask(ctx, kmsg.NewPtrApiVersionsRequest())
	if err != nil {
		return err
	}
	if code := resp.(*kmsg.ApiVersionsResponse).ErrorCode; code != 0 {
		return fmt.Errorf("ApiVersions: error %d", code)
	}
	return nil
}

// metadata asks a broker about topics; about none when none is named.
func (b *broker) metadata(ctx context.Context, topics ...string) (*kmsg.MetadataResponse, error) {
	r := kmsg.NewPtrMetadataRequest()
	r.Version, r.Topics = 7, []kmsg.MetadataRequestTopic{}
	for _, name := range topics {
		t := kmsg.NewMetadataRequestTopic()
		t.Topic = kmsg.StringPtr(name)
		r.Topics = append(r.Topics, t)
	}
	resp, err := b.ask(ctx, r)
	if err != nil {
		return nil, err
	}
	return resp.(*kmsg.MetadataResponse), nil
}

// producerID asks for the id of an idempotent producer.
func (b *broker) producerID(ctx context.Context) (id int64, err error) {
	r := kmsg.NewPtrInitProducerIDRequest()
	r.Version, r.TransactionTimeoutMillis = 1, 60_000
	err = await(ctx, 15*time.Second, func() error {
		resp, err := b.ask(ctx, r)
		if err != nil {
			return err
		}
		answer := resp.(*kmsg.InitProducerIDResponse)
		if answer.ErrorCode != 0 {
			return fmt.Errorf("InitProducerId: error %d", answer.ErrorCode)
		}
		id = answer.ProducerID
		return nil
	})
	return id, err
}
