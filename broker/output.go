package broker

import (
	"errors"
	"io"
	"net"
	"syscall"

	"golang.org/x/sys/unix"

	"gregor/storage"
)

// output gathers answers of one connection until they are written together: bytes, and file slices spliced in between them. It has one
// owner at a time: the connection's reader, or its writer while that one runs.
type output struct {
	tcp     *net.TCPConn
	raw     syscall.RawConn
	held    *buffer // backs buf at first; buf may outgrow it
	buf     []byte
	splices []splice
	spliced int // bytes in splices

	// What sendMore and sendFile are at; kept here, with the functions the poller calls, so that sending allocates nothing.
	more     []byte
	from     int // file descriptor
	offset   int64
	left     int
	failure  error
	corked   int
	moreFunc func(fd uintptr) bool
	fileFunc func(fd uintptr) bool
	corkFunc func(fd uintptr)
}

// splice is a file slice that goes out after the first at bytes of buf.
type splice struct {
	at    int
	slice storage.FileSlice
}

// Sizes up to which record bytes are copied into the answer. One pread of them costs no more than the extra system calls of a header sent apart, a sendfile,
// and what the protocol wants behind the records; an answer of many small slices holds little memory all the same.
const (
	tinySlice  = 4 << 10  // always
	smallSlice = 32 << 10 // while the answer fits the second class of buffers
)

// grab makes sure that buf has memory behind it.
func (o *output) grab() {
	if o.held == nil {
		o.held = getBuffer(bufferClasses[0])
		o.buf = o.held.b[:0]
	}
}

// appendSlice takes over s: its bytes follow what is in buf now.
func (o *output) appendSlice(s storage.FileSlice) error {
	if s.Size <= tinySlice || s.Size <= smallSlice && len(o.buf)+s.Size <= bufferClasses[1] {
		defer s.Release()
		start := len(o.buf)
		o.reserve(s.Size)
		o.buf = o.buf[:start+s.Size]
		_, err := s.File.ReadAt(o.buf[start:], s.Offset)
		return err
	}
	o.splices = append(o.splices, splice{at: len(o.buf), slice: s})
	o.spliced += s.Size
	return nil
}

// reserve makes sure that n bytes fit behind what is in buf.
func (o *output) reserve(n int) {
	if cap(o.buf)-len(o.buf) >= n {
		return
	}
	larger := getBuffer(max(len(o.buf)+n, 2*len(o.buf)))
	o.buf = larger.b[:copy(larger.b, o.buf)]
	o.held.release()
	o.held = larger
}

func (o *output) empty() bool { return len(o.buf) == 0 }

// pending is the number of bytes that wait to be written.
func (o *output) pending() int { return len(o.buf) + o.spliced }

// discard drops everything, releasing the slices.
func (o *output) discard() {
	for i := range o.splices {
		o.splices[i].slice.Release()
		o.splices[i] = splice{}
	}
	o.splices, o.spliced = o.splices[:0], 0
	o.held.release()
	o.held, o.buf = nil, nil
}

// flush writes everything: bytes with send, file slices with sendfile at explicit offsets, so that record bytes never enter user space.
func (o *output) flush() error {
	if o.empty() {
		return nil
	}
	defer o.discard()
	if len(o.splices) == 0 {
		_, err := o.tcp.Write(o.buf)
		return err
	}
	if o.moreFunc == nil {
		o.moreFunc, o.fileFunc, o.corkFunc = o.moreStep, o.fileStep, o.corkStep
	}
	// Since version 12 a few bytes follow the records: without the cork they would be a packet of their own, and wake the client a second time.
	more := o.splices[len(o.splices)-1].at < len(o.buf)
	if more {
		if err := o.cork(1); err != nil {
			return err
		}
	}
	sent := 0
	for i := range o.splices {
		s := &o.splices[i]
		if err := o.sendMore(o.buf[sent:s.at]); err != nil {
			return err
		}
		sent = s.at
		if err := o.sendFile(&s.slice); err != nil {
			return err
		}
	}
	if !more {
		return nil
	}
	if _, err := o.tcp.Write(o.buf[sent:]); err != nil {
		return err
	}
	return o.cork(0)
}

// cork makes the socket keep a packet that is not full until cork(0), or for 200 ms.
func (o *output) cork(value int) error {
	o.corked, o.failure = value, nil
	err := o.raw.Control(o.corkFunc)
	return errors.Join(err, o.failure)
}

func (o *output) corkStep(fd uintptr) {
	o.failure = unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_CORK, o.corked)
}

// sendMore writes b and tells the kernel that more follows at once, so that a header shares a packet with its records.
func (o *output) sendMore(b []byte) error {
	o.more, o.failure = b, nil
	err := o.raw.Write(o.moreFunc)
	o.more = nil
	return errors.Join(err, o.failure)
}

// moreStep is called whenever the socket may take bytes; false waits for the next time.
func (o *output) moreStep(fd uintptr) bool {
	for len(o.more) > 0 {
		n, err := unix.SendmsgN(int(fd), o.more, nil, nil, unix.MSG_MORE|unix.MSG_NOSIGNAL)
		switch {
		case err == unix.EAGAIN:
			return false
		case err == unix.EINTR:
		case err != nil:
			o.failure = err
			return true
		default:
			o.more = o.more[n:]
		}
	}
	return true
}

// sendFile sends a file slice. The offset is explicit: readers of one segment share its file.
func (o *output) sendFile(s *storage.FileSlice) error {
	o.from, o.offset, o.left, o.failure = int(s.File.Fd()), s.Offset, s.Size, nil
	err := o.raw.Write(o.fileFunc)
	return errors.Join(err, o.failure)
}

func (o *output) fileStep(fd uintptr) bool {
	for o.left > 0 {
		n, err := unix.Sendfile(int(fd), o.from, &o.offset, o.left)
		switch {
		case err == unix.EAGAIN:
			return false
		case err == unix.EINTR:
		case err != nil:
			o.failure = err
			return true
		case n == 0:
			o.failure = io.ErrUnexpectedEOF // the file is shorter than the log said: the frame cannot be completed
			return true
		default:
			o.left -= n
		}
	}
	return true
}
