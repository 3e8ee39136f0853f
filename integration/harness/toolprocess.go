package harness

import (
	"regexp"
	"syscall"
	"testing"
	"time"
)

// A ToolProcess is a stock tool in a process of its own.
type ToolProcess struct {
	t    testing.TB
	name string
	proc *process
}

// Output is everything it has printed so far, on both streams.
func (p *ToolProcess) Output() string { return p.proc.output.String() }

// WaitOutput waits until it has printed something that matches; the test fails if that does not happen.
func (p *ToolProcess) WaitOutput(pattern string, timeout time.Duration) {
	p.t.Helper()
	if err := p.proc.output.waitFor(regexp.MustCompile(pattern), timeout); err != nil {
		p.t.Fatalf("%s: %v\n%s", p.name, err, tail(p.Output(), 40))
	}
}

// TryOutput is WaitOutput that returns an error instead of failing the test.
func (p *ToolProcess) TryOutput(pattern string, timeout time.Duration) error {
	return p.proc.output.waitFor(regexp.MustCompile(pattern), timeout)
}

// Wait waits for its end and returns the exit code.
func (p *ToolProcess) Wait(timeout time.Duration) int {
	p.t.Helper()
	code, err := p.proc.wait(timeout)
	if err != nil {
		p.t.Fatalf("%s: %v\n%s", p.name, err, tail(p.Output(), 40))
	}
	return code
}

// Stop ends it with SIGTERM, as Ctrl-C does, and waits for its end.
func (p *ToolProcess) Stop() {
	p.t.Helper()
	_ = p.proc.cmd.Process.Signal(syscall.SIGTERM)
	p.Wait(30 * time.Second)
}

// Kill ends it with SIGKILL.
func (p *ToolProcess) Kill() { p.proc.kill() }
