package stock

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	_ "embed"
	"encoding/binary"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"time"
)

//go:embed ToolServer.java
var toolServerSource []byte

// maxToolOutput bounds what is read of one stream of one tool.
const maxToolOutput = 64 << 20

// A ToolServer is a long-lived JVM that runs tools of one release one after another: a JVM start costs up to a second, a
// second run of a warm tool some tens of milliseconds. Tools that must be killed, or must run beside each other, are started
// with Command instead. Its methods may be called by several goroutines; runs queue up.
type ToolServer struct {
	release *Release

	mu      sync.Mutex // held during a run
	jvm     *exec.Cmd  // nil when none runs: at first, and after a run that did not end in time
	input   io.WriteCloser
	output  *bufio.Reader
	classes map[string]string // tool name → main class
}

// A Result is what one run of a tool left behind.
type Result struct {
	ExitCode int
	Stdout   string
	Stderr   string
}

// NewToolServer prepares a tool server; its JVM starts with the first run.
func (r *Release) NewToolServer() *ToolServer {
	return &ToolServer{release: r, classes: map[string]string{}}
}

// Run runs a tool (see MainClass) with that standard input. The error is about the running itself: a tool that fails gives a
// result with an exit code. A tool that has not ended after the timeout is an error, whose text has what it printed so far.
func (s *ToolServer) Run(timeout time.Duration, stdin, tool string, args ...string) (Result, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	class, err := s.classLocked(tool)
	if err != nil {
		return Result{}, err
	}
	if s.jvm == nil {
		if err := s.startLocked(); err != nil {
			return Result{}, err
		}
	}
	result, err := s.exchangeLocked(timeout, stdin, append([]string{class}, args...))
	if err != nil {
		s.stopLocked()
		return Result{}, fmt.Errorf("%s %s %s: %w", s.release.Version, tool, strings.Join(args, " "), err)
	}
	if result.ExitCode == -1 {
		s.stopLocked()
		return result, fmt.Errorf("%s %s %s: not finished after %v; printed so far:\n%s%s",
			s.release.Version, tool, strings.Join(args, " "), timeout, result.Stdout, result.Stderr)
	}
	return result, nil
}

// Close ends the JVM.
func (s *ToolServer) Close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.jvm != nil {
		s.stopLocked()
	}
}

func (s *ToolServer) classLocked(tool string) (string, error) {
	if class, ok := s.classes[tool]; ok {
		return class, nil
	}
	class, err := s.release.MainClass(tool)
	if err == nil {
		s.classes[tool] = class
	}
	return class, err
}

func (s *ToolServer) startLocked() error {
	classes, err := compileToolServer()
	if err != nil {
		return err
	}
	args := append(s.release.javaOptions(JVM{Options: []string{
		"-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-Djava.security.manager=allow", "--add-opens=java.base/java.lang=ALL-UNNAMED",
	}}), "-cp", classes, "ToolServer", s.release.libs())
	jvm := exec.Command("java", args...)
	// The JVM's own warnings (about the security manager) would only confuse.
	input, err := jvm.StdinPipe()
	if err != nil {
		return err
	}
	output, err := jvm.StdoutPipe()
	if err != nil {
		return err
	}
	if err := jvm.Start(); err != nil {
		return err
	}
	s.jvm, s.input, s.output = jvm, input, bufio.NewReader(output)
	return nil
}

func (s *ToolServer) stopLocked() {
	s.input.Close()
	_ = s.jvm.Process.Kill()
	_ = s.jvm.Wait()
	s.jvm = nil
}

func (s *ToolServer) exchangeLocked(timeout time.Duration, stdin string, line []string) (Result, error) {
	var request []byte
	request = binary.BigEndian.AppendUint32(request, uint32(timeout.Milliseconds()))
	request = binary.BigEndian.AppendUint32(request, uint32(len(line)))
	for _, text := range append(line, stdin) {
		request = binary.BigEndian.AppendUint32(request, uint32(len(text)))
		request = append(request, text...)
	}
	if _, err := s.input.Write(request); err != nil {
		return Result{}, fmt.Errorf("tool server: %w", err)
	}
	var code int32
	if err := binary.Read(s.output, binary.BigEndian, &code); err != nil {
		return Result{}, fmt.Errorf("tool server: %w", err)
	}
	stdout, err := s.readBytes()
	if err != nil {
		return Result{}, err
	}
	stderr, err := s.readBytes()
	if err != nil {
		return Result{}, err
	}
	return Result{ExitCode: int(code), Stdout: stdout, Stderr: stderr}, nil
}

func (s *ToolServer) readBytes() (string, error) {
	var size uint32
	if err := binary.Read(s.output, binary.BigEndian, &size); err != nil {
		return "", fmt.Errorf("tool server: %w", err)
	}
	if size > maxToolOutput {
		return "", fmt.Errorf("tool server: a tool printed %d bytes", size)
	}
	text := make([]byte, size)
	if _, err := io.ReadFull(s.output, text); err != nil {
		return "", fmt.Errorf("tool server: %w", err)
	}
	return string(text), nil
}

// compileToolServer compiles ToolServer.java into the cache, once per source text, and returns the folder of its classes.
func compileToolServer() (string, error) {
	cache, err := CacheDir()
	if err != nil {
		return "", err
	}
	sum := sha256.Sum256(toolServerSource)
	dir := filepath.Join(cache, fmt.Sprintf("toolserver-%x", sum[:8]))
	if err := os.MkdirAll(cache, 0o755); err != nil {
		return "", err
	}
	unlock, err := lockFile(dir + ".lock")
	if err != nil {
		return "", err
	}
	defer unlock()
	if _, err := os.Stat(filepath.Join(dir, "ToolServer.class")); err == nil {
		return dir, nil
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", err
	}
	source := filepath.Join(dir, "ToolServer.java")
	if err := os.WriteFile(source, toolServerSource, 0o644); err != nil {
		return "", err
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	javac := exec.CommandContext(ctx, "javac", "-nowarn", "-d", dir, source)
	if output, err := javac.CombinedOutput(); err != nil {
		return "", fmt.Errorf("javac: %w\n%s", err, bytes.TrimSpace(output))
	}
	return dir, nil
}
