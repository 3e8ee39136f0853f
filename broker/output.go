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
	moreFunc func(fd uintptr) bool
	fileFunc func(fd uintptr) bool
}

// splice is a file slice that goes out after the first at bytes of buf.
type splice struct {
	at    int
	slice storage.FileSlice
}

// smallSlice is the size up to which record bytes are copied into the answer: below it one pread costs less than the two extra system calls of
// a header sent apart and a sendfile.
const smallSlice = 4 << 10

// grab makes sure that buf has memory behind it.
func (o *output) grab() {
	if o.held == nil {
		o.held = getBuffer(bufferClasses[0])
		o.buf = o.held.b[:0]
	}
}

// appendSlice takes over s: its bytes follow what is in buf now.
func (o *output) appendSlice(s storage.FileSlice) error {
	if s.Size <= smallSlice {
		defer s.Release()
		start := len(o.buf)
		o.buf = append(o.buf, make([]byte, s.Size)...)
		_, err := s.File.ReadAt(o.buf[start:], s.Offset)
		return err
	}
	o.splices = append(o.splices, splice{at: len(o.buf), slice: s})
	o.spliced += s.Size
	return nil
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
	if sent == len(o.buf) {
		return nil
	}
	_, err := o.tcp.Write(o.buf[sent:])
	return err
}

// sendMore writes b and tells the kernel that more follows at once, so that a header shares a packet with its records.
func (o *output) sendMore(b []byte) error {
	if o.moreFunc == nil {
		o.moreFunc, o.fileFunc = o.moreStep, o.fileStep
	}
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
