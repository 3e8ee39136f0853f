package load

import (
	"context"
	"encoding/binary"
	"fmt"
	"net"
	"os"
	"runtime"
	"time"

	"golang.org/x/sys/unix"
)

// Paced is an open loop: requests are due at a fixed rate, and what each took counts from the moment at which it was due, so that one late answer shows
// in all that had to wait behind it. It runs on a thread of its own with a blocking socket: the Go scheduler's wake-ups and timers would cost more than
// the broker does.
type Paced struct {
	Addr  string
	Frame []byte
	Rate  int // requests per second
	Count int
}

// Run returns how long every request took.
func (p Paced) Run(ctx context.Context) ([]time.Duration, error) {
	return onThread(func() ([]time.Duration, error) { return p.run(ctx, time.Now().Add(time.Millisecond)) })
}

// onThread runs f on a thread of its own with precise timers. The thread must live on: what was started from it dies with it (Pdeathsig).
func onThread(f func() ([]time.Duration, error)) (took []time.Duration, err error) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		if err = unix.Prctl(unix.PR_SET_TIMERSLACK, 1, 0, 0, 0); err != nil {
			return
		}
		took, err = f()
		unix.Prctl(unix.PR_SET_TIMERSLACK, 0, 0, 0, 0) // 0: as it was
	}()
	<-done
	return took, err
}

// due is when a request is to be sent.
func (p Paced) due(begun time.Time, i int) time.Time {
	return begun.Add(time.Duration(i) * time.Second / time.Duration(p.Rate))
}

func (p Paced) run(ctx context.Context, begun time.Time) ([]time.Duration, error) {
	s, err := openBlocking(ctx, p.Addr)
	if err != nil {
		return nil, err
	}
	defer s.close()
	took := make([]time.Duration, 0, p.Count)
	for i := range p.Count {
		sleepUntil(p.due(begun, i))
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		if _, err := s.produce(p.Frame); err != nil {
			return nil, err
		}
		took = append(took, time.Since(p.due(begun, i)))
	}
	return took, nil
}

// sleepUntil sleeps with the kernel's timer: a Go timer of less than a millisecond waits a whole one.
func sleepUntil(t time.Time) {
	for left := time.Until(t); left > 0; left = time.Until(t) {
		ts := unix.NsecToTimespec(int64(left))
		unix.Nanosleep(&ts, nil)
	}
}

// blocking is a connection whose calls block their thread, for at most answerTimeout.
type blocking struct {
	file *os.File
	fd   int
	buf  []byte
}

const answerTimeout = 30 * time.Second

func openBlocking(ctx context.Context, addr string) (*blocking, error) {
	c, err := Dial(ctx, addr)
	if err != nil {
		return nil, err
	}
	defer c.Close()
	file, err := c.(*net.TCPConn).File() // a second descriptor of the same socket
	if err != nil {
		return nil, err
	}
	s := &blocking{file: file, fd: int(file.Fd()), buf: make([]byte, 64<<10)}
	if err := unix.SetNonblock(s.fd, false); err != nil {
		s.close()
		return nil, err
	}
	limit := unix.NsecToTimeval(int64(answerTimeout))
	if err := unix.SetsockoptTimeval(s.fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &limit); err != nil {
		s.close()
		return nil, err
	}
	return s, nil
}

func (s *blocking) close() { s.file.Close() }

func (s *blocking) write(b []byte) error {
	for len(b) > 0 {
		n, err := unix.Write(s.fd, b)
		if err != nil && err != unix.EINTR {
			return err
		}
		b = b[max(n, 0):]
	}
	return nil
}

// produce sends a Produce request and returns the offset that its batch got.
func (s *blocking) produce(frame []byte) (offset int64, err error) {
	if err := s.write(frame); err != nil {
		return 0, err
	}
	body, err := s.read()
	if err != nil {
		return 0, err
	}
	code, offset := ProduceAnswer(body)
	if code != 0 {
		return 0, fmt.Errorf("produce answered error %d", code)
	}
	return offset, nil
}

// read returns the next answer behind its correlation id; nothing may follow it.
func (s *blocking) read() ([]byte, error) {
	for have, want := 0, 8; ; {
		if have >= 4 {
			want = 4 + int(binary.BigEndian.Uint32(s.buf))
			if want < 8 || want > maxAnswer {
				return nil, fmt.Errorf("an answer of %d bytes", want)
			}
			if have >= want {
				return s.buf[8:want], nil
			}
			if want > len(s.buf) {
				s.buf = append(s.buf, make([]byte, want-len(s.buf))...)
			}
		}
		n, err := unix.Read(s.fd, s.buf[have:])
		if err == unix.EINTR {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("waiting for an answer: %w", err)
		}
		if n == 0 {
			return nil, fmt.Errorf("the broker closed the connection")
		}
		have += n
	}
}
